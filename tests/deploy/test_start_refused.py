"""What cannot start says so in one sentence, with a bad exit status and without a traceback."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from courierweb.environment import ROOT
from deploy import home


@pytest.fixture
def ports() -> Iterator[dict[str, str]]:
    """Ports that were free a moment ago."""
    names = ("HTTP", "SMTP", "SUBMISSION", "SMTPS", "SIEVE")
    servers = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    numbers = [str(server.getsockname()[1]) for server in servers]
    for server in servers:
        server.close()
    yield {f"COURIERWEB_{name}_PORT": number for name, number in zip(names, numbers, strict=True)}


def start(place: Path, **variables: str) -> str:
    """Start the appliance, which has to refuse; returns the one line it says why."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COURIERWEB_") and name not in ("DATABASE_URL", "CELERY_BROKER_URL")
    }
    result = subprocess.run(
        [sys.executable, "-m", "deploy.appliance"],
        env={**inherited, "COURIERWEB_HOME": str(place), **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("deploy/run:")]
    return line


def test_a_mistyped_variable(tmp_path: Path) -> None:
    line = start(tmp_path, COURIERWEB_SMTP_PORT="smtp")
    assert line == "deploy/run: COURIERWEB_SMTP_PORT='smtp' is not a port (1 to 65535)"


def test_a_taken_port(tmp_path: Path, ports: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", int(ports["COURIERWEB_HTTP_PORT"]))):
        line = start(tmp_path, **ports)
    assert f"port {ports['COURIERWEB_HTTP_PORT']} (COURIERWEB_HTTP_PORT) is taken" in line


def test_a_home_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    line = start(tmp_path / "home")
    assert f"cannot use COURIERWEB_HOME={tmp_path / 'home'}: Not a directory" in line


def test_a_home_that_is_in_use(tmp_path: Path) -> None:
    home.make(tmp_path)
    with home.Lock(tmp_path):
        line = start(tmp_path)
    assert f"already running on {tmp_path} (process {os.getpid()})" in line


def test_a_database_that_refuses(tmp_path: Path, ports: dict[str, str]) -> None:
    url = "postgresql://mail:verysecret@127.0.0.1:1/mail"
    line = start(tmp_path, **ports, DATABASE_URL=url)
    assert "DATABASE_URL: the database refuses" in line
    assert "verysecret" not in line


def test_a_broker_that_refuses(tmp_path: Path, ports: dict[str, str]) -> None:
    urls = {
        "DATABASE_URL": "postgresql://127.0.0.1:1/x",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1",
    }
    assert "CELERY_BROKER_URL: the broker refuses" in start(tmp_path, **ports, **urls)


@pytest.mark.parametrize("command", ["run", "test"])
def test_a_python_that_is_too_old(tmp_path: Path, command: str) -> None:
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo 'Python 3.9.2' && exit\nexit 1\n")
    old.chmod(0o755)
    for tool in ("dirname", "readlink"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    result = subprocess.run(
        ["/bin/sh", ROOT / "deploy" / command],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr == (
        f"deploy/{command}: Python 3.11 or newer is needed; this machine has Python 3.9.2.\n"
    )
