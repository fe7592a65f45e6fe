"""Running commands the way the shell does, but inside the test's transaction."""

import json
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from mta import runtime


@pytest.fixture
def run() -> Callable[..., str]:
    """Run a command and give what it printed; CommandError comes through."""

    def run(*arguments: str) -> str:
        out = StringIO()
        call_command(*arguments, stdout=out, stderr=out)
        return out.getvalue()

    return run


@pytest.fixture
def listed(run) -> Callable[..., Any]:
    """Run a command with --json and give what it means."""
    return lambda *arguments: json.loads(run(*arguments, "--json"))


@pytest.fixture
def fresh_directory():
    """What a test put into the database must not be remembered for the next."""
    runtime.directory.cache_clear()
    yield
    runtime.directory.cache_clear()
