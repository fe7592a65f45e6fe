"""What is said on the socket of a courierfilter program, and the control file it is shown."""

from dataclasses import replace
from pathlib import Path

import pytest

from mta.protocol import courierfilter
from mta.protocol.courier_control import control_file
from mta.protocol.courierfilter import Answer, Word
from mta.protocol.envelope import Source
from mta.protocol.reply import Reply
from mta.protocol.site_filter import FilterRequest, FilterStage

REQUEST = FilterRequest(
    stage=FilterStage.CONTENT,
    source=Source.ESMTP,
    hostname="mail.example.test",
    client_ip="192.0.2.1",
    helo="client.test",
    reverse_path="a@client.test",
    recipients=("b@example.test", "c@example.test"),
    queue_id="abc123",
)


def test_paths_and_an_empty_line() -> None:
    octets = courierfilter.request(Path("/t/D1"), [Path("/t/C1"), Path("/t/C2")])
    assert octets == b"/t/D1\n/t/C1\n/t/C2\n\n"


def test_a_path_is_one_line() -> None:
    with pytest.raises(ValueError, match="line end"):
        courierfilter.request(Path("/t/a\nb"), [])


@pytest.mark.parametrize(
    ("octets", "answer"),
    [
        (b"200 Ok\n", Answer(Word.NEXT, Reply(200, "", "Ok"))),
        (b"250 2.0.0 Ok", Answer(Word.NEXT, Reply(250, "2.0.0", "Ok"))),
        (b"100 Well\n", Answer(Word.NEXT, Reply(100, "", "Well"))),
        (b"900 Well\n", Answer(Word.NEXT, Reply(900, "", "Well"))),
        (b"050 Friend\n", Answer(Word.DONE, Reply(250, "", "Friend"))),
        (b"500 Bad\r\n", Answer(Word.REFUSE, Reply(500, "", "Bad"))),
        (b"450 4.7.1 Later\n", Answer(Word.REFUSE, Reply(450, "4.7.1", "Later"))),
        (b"550-One\n550 Two\n", Answer(Word.REFUSE, Reply(550, "", "One\nTwo"))),
        (b"550\n", Answer(Word.REFUSE, Reply(550, "", ""))),
        (b"550-One\n", Answer(Word.REFUSE, Reply(550, "5.7.1", "550-One"))),
        (b"4 no\n", Answer(Word.REFUSE, Reply(450, "4.7.1", "4 no"))),
        (b"Traceback\n ouch\n", Answer(Word.REFUSE, Reply(550, "5.7.1", "Traceback\n ouch"))),
    ],
)
def test_answers(octets: bytes, answer: Answer) -> None:
    assert courierfilter.parse(octets) == answer


@pytest.mark.parametrize(
    ("octets", "complaint"),
    [
        (b"", "without an answer"),
        (b"\n", "without an answer"),
        (b"2", "no reply"),
        (b"200-Ok\n", "no reply"),
        (b"200 Ok\nand more\n", "no reply"),
        (b"2000 Ok\n", "no reply"),
    ],
)
def test_half_an_answer(octets: bytes, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        courierfilter.parse(octets)


class TestControlFile:
    def test_mail_from_another_host(self) -> None:
        assert control_file(REQUEST).decode() == (
            "sa@client.test\n"
            "fdns; client.test ([192.0.2.1])\n"
            "usmtp\n"
            "OTCPREMOTEIP=192.0.2.1\n"
            "rb@example.test\nR\nN\n"
            "rc@example.test\nR\nN\n"
            "Mabc123\n"
        )

    def test_mail_of_a_user(self) -> None:
        request = replace(REQUEST, source=Source.SUBMISSION, auth_user="anna@example.test")
        lines = control_file(request).decode().splitlines()
        assert {"uauthsmtp", "ianna@example.test"} <= set(lines)

    def test_mail_of_a_program(self) -> None:
        request = replace(REQUEST, source=Source.LOCAL, client_ip="", helo="", reverse_path="")
        lines = control_file(request).decode().splitlines()
        assert lines[:3] == ["s", "funknown; localhost", "ulocal"]

    def test_no_value_makes_a_record_of_its_own(self) -> None:
        request = replace(REQUEST, helo="x\nsevil@example.test")
        assert b"\ns" not in control_file(request)
