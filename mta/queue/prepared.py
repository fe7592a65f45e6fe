"""The few statements that every message pays for, kept prepared by the database.

Parsing and planning one of them costs more than running it. psycopg's own cursor is used
because Django's sends every value as text inside the statement.

The database keeps a plan for all values only while that looked no dearer than planning each time.
It never takes that word back: a connection that saw a long queue would plan every claim for ever,
long after the queue is short again. So statements are prepared anew from time to time.
"""

import time
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import connection

Row = tuple[Any, ...]

# How long a connection keeps its prepared statements, in seconds.
KEEP_SECONDS = 60.0

_prepared_since: WeakKeyDictionary[psycopg.Connection[Any], float] = WeakKeyDictionary()


def execute(statement: str, values: Mapping[str, Any]) -> list[Row]:
    """Run a statement in the current transaction, if there is one, and give its rows.

    `statement` must be a constant, since each text is planned and kept once per connection.
    Raises DatabaseError as Django's cursors do.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        _refresh(cursor)
        cursor.execute(statement, values, prepare=True, binary=True)
        return cursor.fetchall() if cursor.description else []


def relax() -> None:
    """In the current transaction: its commit does not wait for the disk. For what a crash of the
    database may forget."""
    execute("SELECT set_config('synchronous_commit', 'off', true)", {})


def _refresh(cursor: "psycopg.Cursor[Any]") -> None:
    now = time.monotonic()
    if now - _prepared_since.setdefault(cursor.connection, now) > KEEP_SECONDS:
        _prepared_since[cursor.connection] = now
        # psycopg sees this and forgets what it knew to be prepared.
        cursor.execute("DEALLOCATE ALL")
