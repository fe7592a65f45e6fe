"""How the appliance is installed, started, watched and stopped on one machine.

`run` and `test` are the two commands; both go through bootstrap.py, which makes the virtual
environment, and then become appliance.py or suite.py.
"""
