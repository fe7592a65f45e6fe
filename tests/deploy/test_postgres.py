"""The private PostgreSQL of a home: durable, private, and not stopped by what a crash leaves."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deploy import home, postgres, sockets
from deploy.supervisor import Supervisor

WITHIN = 60.0


@pytest.fixture
def place() -> Iterator[Path]:
    """A home that PostgreSQL's account can pass through, which pytest's own are not for root."""
    with tempfile.TemporaryDirectory(prefix="courierweb-test-") as name:
        path = Path(name)
        path.chmod(0o711)
        home.make(path)
        yield path
        sockets.remove_directories(path)


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_a_cluster_is_made_once_and_survives_a_kill(place: Path) -> None:
    cluster = postgres.prepare(place)
    with Supervisor() as supervisor:
        supervisor.start(cluster.part())
        assert supervisor.wait_until(lambda: answers(cluster.url), WITHIN)
        with psycopg.connect(cluster.url, autocommit=True) as connection:
            for name, value in {**postgres.DURABILITY, "listen_addresses": ""}.items():
                row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
                assert row == (value,)
            superuser = connection.execute(
                "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
            assert superuser == (False,)
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        server = int((cluster.data / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(server, signal.SIGKILL)
        assert supervisor.wait_until(lambda: supervisor.deaths(postgres.NAME) == 1, WITHIN)
        assert supervisor.wait_until(lambda: answers(cluster.url), WITHIN)

    again = postgres.prepare(place)
    with Supervisor() as supervisor:
        supervisor.start(again.part())
        assert supervisor.wait_until(lambda: answers(again.url), WITHIN)
        with psycopg.connect(again.url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_leftovers_of_a_crash_do_not_block_the_next_start(place: Path) -> None:
    cluster = postgres.prepare(place)
    # The number now belongs to a living process that is no PostgreSQL: this one.
    (cluster.data / "postmaster.pid").write_text(f"{os.getpid()}\n{cluster.data}\n")
    (cluster.socket / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    (place / "postgres" / "unfinished").mkdir()

    again = postgres.prepare(place)
    with Supervisor() as supervisor:
        supervisor.start(again.part())
        assert supervisor.wait_until(lambda: answers(again.url), WITHIN)
        assert supervisor.deaths(postgres.NAME) == 0
