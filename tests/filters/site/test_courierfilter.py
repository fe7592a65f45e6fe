"""The kind `courierfilter` against programs that answer what the test wants, or misbehave."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mta.filters.base import Trouble
from mta.filters.site.courierfilter import CourierFilter
from mta.protocol.envelope import Source
from mta.protocol.reply import Reply
from mta.protocol.site_filter import (
    FilterAction,
    FilterRequest,
    FilterStage,
    FilterState,
    FilterTerms,
    FilterVerdict,
)
from tests.support.fake_courierfilter import FakeFilter

REQUEST = FilterRequest(
    stage=FilterStage.CONTENT,
    source=Source.ESMTP,
    hostname="mail.example.test",
    client_ip="192.0.2.1",
    helo="client.test",
    reverse_path="a@client.test",
    recipients=("b@example.test",),
    content=b"Subject: Hi\r\n\r\nbody\r\n",
    queue_id="abc123",
)


@asynccontextmanager
async def running(place: Path, filters: Mapping[str, FakeFilter]) -> AsyncIterator[None]:
    place.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack:
        for name, each in filters.items():
            server = await asyncio.start_unix_server(each.serve, place / name)
            await stack.enter_async_context(server)
            stack.callback(server.close)
        yield


def terms(tmp_path: Path, **options: object) -> FilterTerms:
    own = {"sockets": str(tmp_path / "allfilters"), "directory": str(tmp_path / "files")}
    return FilterTerms(
        name="c",
        kind="courierfilter",
        stage=FilterStage.CONTENT,
        state=FilterState.ENFORCE,
        options={**own, **options},
    )


def judge(
    tmp_path: Path,
    filters: Mapping[str, FakeFilter],
    request: FilterRequest = REQUEST,
    **options: object,
) -> FilterVerdict:
    async def session() -> FilterVerdict:
        async with running(tmp_path / "allfilters", filters):
            return await CourierFilter().judge(request, terms(tmp_path, **options))

    before = files_in(tmp_path)
    try:
        return asyncio.run(session())
    finally:
        assert files_in(tmp_path) <= before


def files_in(tmp_path: Path) -> set[Path]:
    (tmp_path / "files").mkdir(exist_ok=True)
    return set((tmp_path / "files").iterdir())


class TestTheirWord:
    def test_they_are_asked_by_name_until_one_refuses(self, tmp_path: Path) -> None:
        filters = {
            "c-last": FakeFilter(b"200 Ok\n"),
            "b-second": FakeFilter(b"550-No\n550 never\n"),
            "a-first": FakeFilter(b"200 Ok\n"),
            ".starting": FakeFilter(b"550 No\n"),
        }
        verdict = judge(tmp_path, filters)
        assert verdict.action is FilterAction.REFUSE
        assert verdict.reply == Reply(550, "", "No\nnever")
        assert verdict.detail == "a-first: 200 Ok; b-second: 550 No never"
        assert [each.asked for each in filters.values()] == [0, 1, 1, 0]

    def test_all_of_them_let_it_pass(self, tmp_path: Path) -> None:
        filters = {"a": FakeFilter(b"200 Ok\n"), "b": FakeFilter(b"300 Ok\n")}
        assert judge(tmp_path, filters).action is FilterAction.PASS
        assert filters["b"].asked == 1

    def test_zero_is_the_last_word(self, tmp_path: Path) -> None:
        filters = {"a": FakeFilter(b"050 Friend\n"), "b": FakeFilter(b"550 No\n")}
        verdict = judge(tmp_path, filters)
        assert (verdict.action, verdict.detail) == (FilterAction.ACCEPT, "a: 250 Friend")
        assert filters["b"].asked == 0

    def test_one_socket(self, tmp_path: Path) -> None:
        filters = {"a": FakeFilter(b"550 No\n"), "b": FakeFilter(b"200 Ok\n")}
        verdict = judge(tmp_path, filters, sockets=str(tmp_path / "allfilters/b"))
        assert verdict.action is FilterAction.PASS

    def test_files_that_are_no_sockets_are_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "allfilters").mkdir()
        (tmp_path / "allfilters/README").touch()
        assert judge(tmp_path, {}).action is FilterAction.PASS


class TestFiles:
    def test_what_is_in_them(self, tmp_path: Path) -> None:
        told = FakeFilter(b"200 Ok\n")
        judge(tmp_path, {"a": told})
        assert told.files["D1"] == b"Subject: Hi\n\nbody\n"
        assert told.files["C1"].startswith(b"sa@client.test\n")

    @pytest.mark.parametrize(
        ("mode", "file", "directory"),
        [("0600", 0o600, 0o700), ("0640", 0o640, 0o750), ("0644", 0o644, 0o755)],
    )
    def test_who_may_read_them(self, tmp_path: Path, mode: str, file: int, directory: int) -> None:
        told = FakeFilter(b"200 Ok\n")
        judge(tmp_path, {"a": told}, mode=mode, group=str(os.getegid()))
        assert told.modes.pop("D1") == told.modes.pop("C1") == file
        assert list(told.modes.values()) == [directory]

    def test_they_are_gone_when_time_is_over(self, tmp_path: Path) -> None:
        """Whoever asks stops waiting; judge() sees to it that nothing is left."""

        class Hanging(FakeFilter):
            async def serve(
                self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
            ) -> None:
                await reader.readuntil(b"\n\n")
                asking.cancel()
                assert await reader.read() == b""
                writer.close()

        async def session() -> None:
            nonlocal asking
            (tmp_path / "files").mkdir()
            async with running(tmp_path / "allfilters", {"a": Hanging(b"")}):
                asking = asyncio.create_task(CourierFilter().judge(REQUEST, terms(tmp_path)))
                await asking

        asking: asyncio.Task[FilterVerdict]
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(session())
        assert not list((tmp_path / "files").iterdir())

    def test_what_a_crash_left_is_removed(self, tmp_path: Path) -> None:
        left = tmp_path / "files/courierweb-filter-left"
        others = tmp_path / "files/other"
        for place in (left, others):
            place.mkdir(parents=True)
            os.utime(place, (0, 0))
        judge(tmp_path, {"a": FakeFilter(b"200 Ok\n")})
        assert files_in(tmp_path) == {others}


class TestRehearsal:
    def test_they_are_not_asked(self, tmp_path: Path) -> None:
        asked = FakeFilter(b"550 No\n")
        request = replace(REQUEST, rehearsal=True)
        verdict = judge(tmp_path, {"a": asked}, request)
        assert (verdict.action, asked.asked) == (FilterAction.PASS, 0)
        assert "not asked" in verdict.detail

    def test_unless_somebody_wants_it(self, tmp_path: Path) -> None:
        request = replace(REQUEST, rehearsal=True)
        verdict = judge(tmp_path, {"a": FakeFilter(b"550 No\n")}, request, rehearsals=True)
        assert verdict.action is FilterAction.REFUSE


class TestTrouble:
    @pytest.mark.parametrize(
        ("answer", "complaint"),
        [
            (b"", "a: it closed the connection without an answer"),
            (b"200-Ok\n", "a: it answered '200-Ok'"),
            (b"2" * 100_000, "a: an answer of more than 65536 octets"),
        ],
    )
    def test_half_an_answer(self, tmp_path: Path, answer: bytes, complaint: str) -> None:
        with pytest.raises(Trouble, match=complaint):
            judge(tmp_path, {"a": FakeFilter(answer)})

    def test_nobody_listens(self, tmp_path: Path) -> None:
        (tmp_path / "allfilters").mkdir()
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(tmp_path / "allfilters/a"))
        with pytest.raises(Trouble, match="a: Connection refused"):
            judge(tmp_path, {})

    def test_no_directory(self, tmp_path: Path) -> None:
        with pytest.raises(Trouble, match="No such file"):
            judge(tmp_path, {}, sockets=str(tmp_path / "nothing"))

    def test_no_place_for_the_files(self, tmp_path: Path) -> None:
        with pytest.raises(Trouble, match="cannot be shown to the filters"):
            judge(tmp_path, {"a": FakeFilter(b"200 Ok\n")}, directory=str(tmp_path / "nothing"))

    def test_one_that_is_busy_is_tried_again(self, tmp_path: Path) -> None:
        """Its queue of callers is full until the first of them goes."""
        place = tmp_path / "allfilters"
        place.mkdir()
        (tmp_path / "files").mkdir()

        def serve(listener: socket.socket) -> None:
            listener.accept()[0].close()
            connection, _ = listener.accept()
            while not connection.recv(4096).endswith(b"\n\n"):
                pass
            connection.sendall(b"200 Ok\n")
            connection.close()

        async def session() -> FilterVerdict:
            with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
                listener.bind(str(place / "a"))
                listener.listen(0)
                first.connect(str(place / "a"))
                asking = asyncio.create_task(CourierFilter().judge(REQUEST, terms(tmp_path)))
                while not list((tmp_path / "files").glob("*/C1")):
                    await asyncio.sleep(0)
                serving = asyncio.to_thread(serve, listener)
                verdict, _ = await asyncio.gather(asking, serving)
                return verdict

        assert asyncio.run(session()).action is FilterAction.PASS


class TestCheck:
    @pytest.mark.parametrize(
        ("options", "complaint"),
        [
            ({"sockets": ""}, "sockets: "),
            ({"sockets": "filters"}, "sockets: "),
            ({"sockets": "/var/../etc"}, "sockets: "),
            ({"directory": "tmp"}, "directory: "),
            ({"directory": "/tmp/../etc"}, "directory: "),
            ({"group": "no-such-group"}, "there is no group no-such-group"),
            ({"mode": "0440"}, "mode: "),
            ({"mode": "999"}, "mode: "),
            ({"mode": ""}, "mode: "),
        ],
    )
    def test_what_cannot_work(
        self, tmp_path: Path, options: dict[str, object], complaint: str
    ) -> None:
        with pytest.raises(ValueError, match=complaint):
            CourierFilter().check(terms(tmp_path, **options))

    def test_what_can(self, tmp_path: Path) -> None:
        CourierFilter().check(terms(tmp_path, group="daemon", mode="640"))
