"""Every command that changes policy is one transaction that says who ran it.

The trigger on the policy tables (migration 0002) copies the name into each PolicyChange.
"""

import getpass
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


def command_actor() -> str:
    """Who runs this command: "cli:root"."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return "cli"


@contextmanager
def policy_change() -> Iterator[None]:
    """A transaction for changes of policy, in the name of whoever runs the command."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('courierweb.actor', %s, true)", [command_actor()])
        yield
