"""Private directories for sockets, and the check of our ports."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import account, sockets
from deploy.console import CannotStart


def test_a_long_home_has_a_short_directory_of_its_own(tmp_path: Path) -> None:
    long_home = tmp_path.joinpath(*["a-directory-with-a-long-name"] * 8)
    directory = sockets.directory_for(long_home, "pg", account.current())
    other = sockets.directory_for(tmp_path, "pg", account.current())
    # What PostgreSQL adds to it, and the 107 octets of sun_path.
    assert len(str(directory / ".s.PGSQL.5432.lock")) <= 107
    assert directory.stat().st_mode & 0o777 == 0o700
    assert directory != other

    sockets.remove_directories(long_home)
    assert not directory.exists()
    assert other.exists()
    sockets.remove_directories(tmp_path)


def test_an_open_directory_of_ours_is_closed(tmp_path: Path) -> None:
    place = tmp_path / "sockets"
    place.mkdir()
    place.chmod(0o777)
    sockets.make_private(place, account.current())
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_link_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "sockets").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CannotStart, match="belongs to somebody else"):
        sockets.make_private(tmp_path / "sockets", account.current())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another's directory")
def test_a_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "sockets"
    place.mkdir()
    os.chown(place, 54321, 54321)
    with pytest.raises(CannotStart, match="belongs to somebody else"):
        sockets.make_private(place, account.current())


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_named_with_its_variable(taken_port: int) -> None:
    with pytest.raises(CannotStart, match=rf"port {taken_port} \(COURIERWEB_SMTP_PORT\) is taken"):
        sockets.check_ports({"COURIERWEB_SMTP_PORT": taken_port}, patience=0)


def test_a_port_that_has_just_been_left_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()
    sockets.check_ports({"COURIERWEB_SMTP_PORT": port}, patience=0)
