"""The few statements that every message pays for, kept prepared by the database.

Parsing and planning one of them costs more than running it. psycopg's own cursor is used
because Django's sends every value as text inside the statement.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from django.db import connection

Row = tuple[Any, ...]


def execute(statement: str, values: Mapping[str, Any]) -> list[Row]:
    """Run a statement in the current transaction, if there is one, and give its rows.

    `statement` must be a constant, since each text is planned and kept once per connection.
    Raises DatabaseError as Django's cursors do.
    """
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, values, prepare=True, binary=True)
        return cursor.fetchall() if cursor.description else []


def relax() -> None:
    """In the current transaction: its commit does not wait for the disk. For what a crash of the
    database may forget."""
    execute("SELECT set_config('synchronous_commit', 'off', true)", {})
