"""The kind `milter` against a milter that says what the test wants, or misbehaves."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from mta.filters.base import Trouble
from mta.filters.site.milter import Milter, parse_socket
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
from tests.support.fake_milter import FakeMilter, listening

CONTENT = b"Received: by us\r\nSubject: Hi\r\nTo: b\r\n\r\nbody\r\n"
REQUEST = FilterRequest(
    stage=FilterStage.CONTENT,
    source=Source.ESMTP,
    hostname="mail.example.test",
    client_ip="192.0.2.1",
    helo="client.test",
    tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
    auth_user="anna@example.test",
    reverse_path="a@client.test",
    recipients=("b@example.test", "c@example.test"),
    content=CONTENT,
    queue_id="abc123",
)


def terms(path: Path | str, **options: object) -> FilterTerms:
    socket = f"unix:{path}" if isinstance(path, Path) else path
    return FilterTerms(
        name="m",
        kind="milter",
        stage=FilterStage.CONTENT,
        state=FilterState.ENFORCE,
        options={"socket": socket, **options},
    )


def judge(
    tmp_path: Path, fake: FakeMilter, request: FilterRequest = REQUEST, **options: object
) -> FilterVerdict:
    async def session() -> FilterVerdict:
        path = tmp_path / "milter"
        async with listening(path, fake.serve):
            return await Milter().judge(request, terms(path, **options))

    return asyncio.run(session())


def to(*recipients: str) -> FilterRequest:
    return replace(REQUEST, recipients=recipients)


class TestWhatItIsTold:
    def test_the_whole_session_in_its_order(self, tmp_path: Path) -> None:
        fake = FakeMilter()
        assert judge(tmp_path, fake) == FilterVerdict()
        assert [packet for packet in fake.heard if packet[:1] != b"D"] == [
            b"C[192.0.2.1]\x004\0\x00192.0.2.1\0",
            b"Hclient.test\0",
            b"M<a@client.test>\0",
            b"R<b@example.test>\0",
            b"R<c@example.test>\0",
            b"T",
            b"LSubject\0Hi\0",
            b"LTo\0b\0",
            b"N",
            b"Bbody\r\n",
            b"E",
            b"Q",
        ]

    def test_macros(self, tmp_path: Path) -> None:
        fake = FakeMilter()
        judge(tmp_path, fake, to("b@example.test"), daemon_name="inbound")
        connection = fake.macros(b"C")
        assert connection["j"] == "mail.example.test"
        assert connection["{daemon_name}"] == "inbound"
        assert connection["{client_addr}"] == "192.0.2.1"
        assert fake.macros(b"H")["{tls_version}"] == "TLSv1.3"
        mail = fake.macros(b"M")
        assert (mail["i"], mail["{mail_addr}"]) == ("abc123", "a@client.test")
        assert mail["{auth_authen}"] == "anna@example.test"
        assert fake.macros(b"R")["{rcpt_addr}"] == "b@example.test"
        assert fake.macros(b"E") == {"i": "abc123"}

    def test_a_program_on_this_host_is_a_client_on_this_host(self, tmp_path: Path) -> None:
        fake = FakeMilter()
        judge(tmp_path, fake, replace(REQUEST, source=Source.LOCAL, client_ip="", helo=""))
        assert fake.heard[1] == b"Clocalhost\x004\0\x00127.0.0.1\0"
        assert b"H" not in fake.commands()

    def test_mail_by_uucp_has_no_address(self, tmp_path: Path) -> None:
        fake = FakeMilter()
        judge(tmp_path, fake, replace(REQUEST, source=Source.UUCP, client_ip="", helo="node"))
        assert fake.heard[1] == b"Cnode\0U"

    def test_what_it_does_not_want_is_not_sent(self, tmp_path: Path) -> None:
        fake = FakeMilter(steps=0x02 | 0x10 | 0x20)
        judge(tmp_path, fake)
        assert fake.commands() == b"CMRRTNEQ"

    def test_what_it_does_not_answer_is_not_waited_for(self, tmp_path: Path) -> None:
        fake = FakeMilter(steps=0xFF080, answers={c: [] for c in (b"C", b"H", b"M", b"R")})
        fake.answers |= {c: [] for c in (b"T", b"L", b"N", b"B")}
        assert judge(tmp_path, fake).action is FilterAction.PASS
        assert fake.commands() == b"CHMRRTLLNBEQ"

    def test_one_that_is_too_old_for_data(self, tmp_path: Path) -> None:
        fake = FakeMilter(version=2)
        judge(tmp_path, fake)
        assert fake.commands() == b"CHMRRLLNBEQ"

    def test_a_large_body_comes_in_pieces_until_it_has_enough(self, tmp_path: Path) -> None:
        fake = FakeMilter(answers={b"B": [b"s"]})
        judge(tmp_path, fake, replace(REQUEST, content=CONTENT + b"x" * 200_000))
        assert fake.commands().count(b"B") == 1
        fake = FakeMilter()
        judge(tmp_path, fake, replace(REQUEST, content=CONTENT + b"x" * 200_000))
        assert fake.commands().count(b"B") == 4

    def test_it_is_offered_what_we_can_do(self, tmp_path: Path) -> None:
        fake = FakeMilter()
        judge(tmp_path, fake)
        assert int.from_bytes(fake.offered[4:8], "big") == 0x01 | 0x02 | 0x10 | 0x20

    @pytest.mark.parametrize(
        ("request_", "commands"),
        [
            (
                replace(REQUEST, stage=FilterStage.CONNECT, helo="", reverse_path=None),
                b"CQ",
            ),
            (replace(REQUEST, stage=FilterStage.SENDER), b"CHMQ"),
            (replace(REQUEST, stage=FilterStage.RECIPIENT), b"CHMRRQ"),
        ],
        ids=["connect", "sender", "recipient"],
    )
    def test_before_the_content_it_ends_earlier(
        self, tmp_path: Path, request_: FilterRequest, commands: bytes
    ) -> None:
        fake = FakeMilter()
        recipients = REQUEST.recipients if request_.stage is FilterStage.RECIPIENT else ()
        request_ = replace(request_, content=None, recipients=recipients)
        assert judge(tmp_path, fake, request_) == FilterVerdict()
        assert fake.commands() == commands


class TestItsWord:
    @pytest.mark.parametrize("command", [b"C", b"H", b"M", b"T", b"L", b"N", b"B", b"E"])
    def test_it_may_refuse_at_any_time(self, tmp_path: Path, command: bytes) -> None:
        fake = FakeMilter(answers={command: [b"y554 5.7.0 Not you\0"]})
        verdict = judge(tmp_path, fake)
        assert verdict.action is FilterAction.REFUSE
        assert verdict.reply == Reply(554, "5.7.0", "Not you")
        assert fake.commands().endswith(command + b"Q")

    @pytest.mark.parametrize(
        ("answer", "code"), [(b"r", 550), (b"t", 451), (b"4", 451), (b"y421 4.3.2 Away\0", 451)]
    )
    def test_short_words(self, tmp_path: Path, answer: bytes, code: int) -> None:
        verdict = judge(tmp_path, FakeMilter(answers={b"E": [answer]}))
        assert verdict.reply is not None
        assert verdict.reply.code == code

    def test_accepted_early(self, tmp_path: Path) -> None:
        """It has seen enough; another filter may think differently."""
        fake = FakeMilter(answers={b"M": [b"a"]})
        assert judge(tmp_path, fake) == FilterVerdict()
        assert fake.commands() == b"CHMQ"

    def test_discard(self, tmp_path: Path) -> None:
        fake = FakeMilter(answers={b"E": [b"d"]})
        assert judge(tmp_path, fake).action is FilterAction.DISCARD

    def test_quarantine_holds(self, tmp_path: Path) -> None:
        verdict = judge(tmp_path, FakeMilter(answers={b"E": [b"qsmells\0", b"a"]}))
        assert (verdict.action, verdict.detail) == (FilterAction.HOLD, "smells")

    def test_one_recipient_is_refused(self, tmp_path: Path) -> None:
        fake = FakeMilter(answers={b"R<c@example.test>\0": [b"y550 5.1.1 No c\0"]})
        verdict = judge(tmp_path, fake)
        assert verdict.action is FilterAction.PASS
        assert verdict.refused == {"c@example.test": Reply(550, "5.1.1", "No c")}
        assert fake.commands() == b"CHMRRTLLNBEQ"

    def test_all_recipients_are_refused(self, tmp_path: Path) -> None:
        fake = FakeMilter(answers={b"R": [b"r"]})
        assert judge(tmp_path, fake).action is FilterAction.REFUSE
        assert fake.commands() == b"CHMRRQ"

    def test_at_rcpt_the_last_one_counts(self, tmp_path: Path) -> None:
        fake = FakeMilter(answers={b"R<b@example.test>\0": [b"r"]})
        request = replace(REQUEST, stage=FilterStage.RECIPIENT, content=None)
        assert judge(tmp_path, fake, request).action is FilterAction.PASS
        fake = FakeMilter(answers={b"R<c@example.test>\0": [b"t"]})
        assert judge(tmp_path, fake, request).action is FilterAction.REFUSE

    def test_changes(self, tmp_path: Path) -> None:
        changes = [
            b"i\0\0\0\x01X-First\0one\0",
            b"m\0\0\0\x01Subject\0[ad] Hi\0",
            b"hX-Last\0two\0",
            b"p",
            b"c",
        ]
        verdict = judge(tmp_path, FakeMilter(answers={b"E": changes}))
        assert verdict.action is FilterAction.PASS
        assert verdict.content == (
            b"Received: by us\r\nX-First: one\r\nSubject: [ad] Hi\r\nTo: b\r\n"
            b"X-Last: two\r\n\r\nbody\r\n"
        )

    def test_a_new_body(self, tmp_path: Path) -> None:
        verdict = judge(tmp_path, FakeMilter(answers={b"E": [b"bnew ", b"bbody\r\n", b"a"]}))
        assert verdict.content == CONTENT.replace(b"body", b"new body")

    def test_it_is_not_asked_in_a_rehearsal_when_it_counts(self, tmp_path: Path) -> None:
        request = replace(REQUEST, rehearsal=True)
        fake = FakeMilter(answers={b"E": [b"r"]})
        assert judge(tmp_path, fake, request).action is FilterAction.REFUSE
        assert judge(tmp_path, fake, request, rehearsals=False).action is FilterAction.PASS


class TestTrouble:
    @pytest.mark.parametrize(
        ("answers", "complaint"),
        [
            ({b"E": [b"+<x@y.test>\0", b"a"]}, "add a recipient, which was not offered"),
            ({b"E": [b"e<x@y.test>\0", b"a"]}, "change the sender"),
            ({b"C": [b"hX\0y\0"]}, "at the wrong time"),
            ({b"H": [b"f"]}, "at the wrong time"),
            ({b"M": [b"HTTP/1.1 400"]}, "no answer of the milter protocol"),
            ({b"B": [b"y200 ok\0"]}, "4xx or 5xx"),
        ],
    )
    def test_nonsense(
        self, tmp_path: Path, answers: dict[bytes, list[bytes]], complaint: str
    ) -> None:
        with pytest.raises(Trouble, match=complaint):
            judge(tmp_path, FakeMilter(answers=answers))

    @pytest.mark.parametrize(
        ("octets", "complaint"),
        [
            (b"", "closed the connection"),
            (b"\0\0", "closed the connection"),
            (b"\0\0\0\x0dO\0\0", "closed the connection"),
            (b"\xff\xff\xff\xff", "4294967295 octets"),
            (b"\0\0\0\0", "0 octets"),
            (b"220 mail.example.test ESMTP\r\n", "octets"),
        ],
    )
    def test_garbage_and_half_a_packet(self, tmp_path: Path, octets: bytes, complaint: str) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(17)
            writer.write(octets)
            await writer.drain()

        async def session() -> None:
            async with listening(tmp_path / "m", serve):
                await Milter().judge(REQUEST, terms(tmp_path / "m"))

        with pytest.raises(Trouble, match=complaint):
            asyncio.run(session())

    def test_one_that_hangs_is_let_go(self, tmp_path: Path) -> None:
        """When its time is over it sees the end of the connection."""

        async def session() -> bytes:
            begun, ended = asyncio.Event(), asyncio.get_running_loop().create_future()

            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readexactly(17)
                begun.set()
                ended.set_result(await reader.read())

            async with listening(tmp_path / "m", serve):
                asking = asyncio.create_task(Milter().judge(REQUEST, terms(tmp_path / "m")))
                await begun.wait()
                asking.cancel()
                return await asyncio.wait_for(ended, 10)

        assert asyncio.run(session()) == b""

    def test_one_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(Trouble, match="no connection with the milter"):
            asyncio.run(Milter().judge(REQUEST, terms(tmp_path / "nothing")))

    def test_one_that_is_too_old(self, tmp_path: Path) -> None:
        with pytest.raises(Trouble, match="version 2"):
            judge(tmp_path, FakeMilter(version=2), protocol=6)


class TestCheck:
    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("unix:/run/m.sock", "/run/m.sock"),
            ("local:/run/m.sock", "/run/m.sock"),
            ("inet:8891@localhost", ("localhost", 8891)),
            ("inet6:8891@[::1]", ("::1", 8891)),
        ],
    )
    def test_sockets(self, text: str, place: object) -> None:
        assert parse_socket(text) == place
        Milter().check(terms(text))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "/run/m.sock",
            "unix:run/m.sock",
            "unix:/run/../etc/m",
            "inet:8891",
            "inet:@localhost",
            "inet:0@localhost",
            "inet:99999@localhost",
            "inet:x@localhost",
            "inet:25@",
            "http://localhost",
        ],
    )
    def test_what_is_no_socket(self, text: str) -> None:
        with pytest.raises(ValueError, match="socket: "):
            Milter().check(terms(text))

    @pytest.mark.parametrize("protocol", [1, 7, "", "six"])
    def test_versions(self, protocol: object) -> None:
        with pytest.raises(ValueError, match="protocol: 2 to 6"):
            Milter().check(terms("unix:/m", protocol=protocol))
