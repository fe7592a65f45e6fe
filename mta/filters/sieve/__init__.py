"""Sieve (RFC 5228) in three things: compile a text, evaluate a program, apply its actions.

The caller applies; nothing here touches a file, a database or the network.
"""
