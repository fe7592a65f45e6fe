"""A plugin for parallel runs: each process of the tests has databases of the broker to itself.

Loaded with `-p`, since Django reads the environment before there is a conftest. RQ takes the
database after that of Celery.
"""

import os

_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
_DATABASES_EACH = 2

if _WORKER:
    first = _DATABASES_EACH * (1 + int(_WORKER.removeprefix("gw")))
    os.environ["CELERY_BROKER_URL"] += f"?virtual_host={first}"
