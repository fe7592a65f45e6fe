"""An import of one of the fixture directories, and what a client is told afterwards."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from mta import runtime
from mta.explain import explain
from mta.explanation import Explanation, Request
from mta.models import Settings
from tests.support.smtp_session import disconnect_others

FIXTURES = Path(__file__).parents[1] / "data" / "upgrade"


@pytest.fixture(autouse=True)
def own_name(settings, fresh_directory):
    """The fixtures were written for this host."""
    settings.ENVIRONMENT = replace(settings.ENVIRONMENT, hostname="mail.example.test")


@pytest.fixture
def fresh_directory():
    """What a test put into the database must not be remembered for the next."""
    runtime.directory.cache_clear()
    yield
    runtime.directory.cache_clear()


@pytest.fixture
def run_import() -> Callable[..., dict[str, Any]]:
    """Import a system's fixture, or another directory, and give the report."""

    def run_import(system: str, *options: str, directory: Path | None = None) -> dict[str, Any]:
        out = StringIO()
        where = str(directory or FIXTURES / system)
        call_command("import", system, where, "--json", *options, stdout=out, stderr=out)
        report: dict[str, Any] = json.loads(out.getvalue())
        return report

    return run_import


@pytest.fixture
def ask(transactional_db) -> Iterator[Callable[..., Explanation]]:
    """What a client would be told now; the DNS is not asked."""

    def ask(client: str, sender: str, recipient: str) -> Explanation:
        row = Settings.load()
        row.checkdns, row.checkhelo, row.spf_mailfrom = False, 0, "off"
        row.save()
        runtime.directory.cache_clear()
        return explain(Request(client_ip=client, reverse_path=sender, recipients=(recipient,)))

    yield ask
    runtime.directory.cache_clear()
    disconnect_others()


def reply(explanation: Explanation) -> str:
    """The last reply: "250", "550" ..."""
    return str(explanation.passages[-1].decision.reply.code)


def nexthop(explanation: Explanation) -> str:
    return explanation.destinations[0].nexthop


def made(report: dict[str, Any], kind: str) -> dict[str, str]:
    """The rows of a kind that were made: key -> words."""
    return {step["key"]: step["wanted"] for step in report["make"] if step["kind"] == kind}


def left(report: dict[str, Any]) -> dict[str, str]:
    """ "file:line" -> reason of the last entry for that line."""
    return {f"{each['file']}:{each['line']}": each["reason"] for each in report["left"]}
