"""The commands from a fresh shell: exit statuses, stderr, and a database that is away."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

ROOT = Path(__file__).resolve().parents[2]


def manage(
    *arguments: str, content: bytes = b"", **environ: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, ROOT / "manage.py", *arguments],
        input=content,
        capture_output=True,
        timeout=60,
        env={**os.environ, **environ},
        check=False,
    )


@pytest.fixture
def database_url(transactional_db) -> str:
    """The test database, as a shell would name it."""
    base, _, _ = os.environ["DATABASE_URL"].rpartition("/")
    return f"{base}/{connection.settings_dict['NAME']}"


def test_commands_work_from_a_shell(database_url):
    added = manage("domain", "add", "example.test", DATABASE_URL=database_url)
    assert (added.returncode, added.stderr) == (0, b"")

    again = manage("domain", "add", "example.test", DATABASE_URL=database_url)
    assert again.returncode == 1
    assert again.stderr.strip() == b"CommandError: example.test is there already"

    listed = manage("domain", "list", "--json", DATABASE_URL=database_url)
    assert [row["name"] for row in json.loads(listed.stdout)] == ["example.test"]


def test_sendmail_from_a_shell(database_url):
    broker = "redis+socket:///nowhere/broker.sock"
    sent = manage(
        "sendmail", "-f", "ann@example.org", "bob@foreign.test",
        content=b"Subject: hi\n\nbody\n", DATABASE_URL=database_url, CELERY_BROKER_URL=broker,
    )  # fmt: skip
    assert (sent.returncode, sent.stdout, sent.stderr) == (0, b"", b"")
    queue = json.loads(manage("mailq", "--json", DATABASE_URL=database_url).stdout)
    assert [message["reverse_path"] for message in queue] == ["ann@example.org"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("mailq",), 1), (("domain", "add", "x.test"), 1), (("sendmail", "bob@x.test"), 75)],
)
def test_a_database_that_is_away_is_one_clear_sentence(arguments, status):
    away = manage(*arguments, DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert away.returncode == status
    assert away.stderr.count(b"\n") == 1
    assert b"the appliance is not running" in away.stderr
