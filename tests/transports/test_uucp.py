"""The uucp transport with a uux that writes down what it is told."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mta.protocol.bang_path import Neighbourhood
from mta.protocol.uux import UuxTerms, parse_flags
from mta.transports.base import DeliveryRequest, Outcome, QueuedMessage, Result
from mta.transports.uucp import Uucp
from tests.transports.contract import context, message

HOME = "mail.example.test"
TOWN = Neighbourhood("example", HOME, neighbours={"apple": "", "food": "F"})
# It says what it is told to say; `calls` gets a line of JSON a run.
PROGRAM = """#!/usr/bin/python3 -IS
import json, os, sys, time
calls = {calls!r}
with open(calls, "a") as file:
    file.write(json.dumps([sys.argv[1:], sys.stdin.buffer.read().decode("latin-1"), os.getcwd(),
                           sorted(os.environ)]) + "\\n")
print({says!r}, flush=True)
{ends}
"""


class Uux:
    """A uux, and the mail that went through it."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self.path = folder / "uux"
        self.calls = folder / "calls"
        self.calls.touch()
        self.calls.chmod(0o666)
        self.folder = folder
        self.committed: list[int] = []
        self.becomes()

    def becomes(self, ends: str = "sys.exit(0)", says: str = "apple.C0001") -> None:
        self.path.write_text(PROGRAM.format(calls=str(self.calls), says=says, ends=ends))
        self.path.chmod(0o755)

    def deliver(
        self,
        system: str,
        *messages: QueuedMessage,
        content: bytes | None = None,
        patience: float = 60.0,
        **terms: Any,
    ) -> list[Outcome]:
        uux = UuxTerms(**{"town": TOWN, **terms})
        contents = {each.id: content for each in messages} if content else None
        with_uux = replace(
            context(self.folder, contents), uux=uux, committing=self.committed.extend
        )
        request = DeliveryRequest("uucp", f"uucp:{system}", messages)
        return list(Uucp(str(self.path), patience).deliver(request, with_uux))

    @property
    def runs(self) -> list[tuple[Sequence[str], str, str, Sequence[str]]]:
        return [tuple(json.loads(line)) for line in self.calls.read_text().splitlines()]


@pytest.fixture
def uux() -> Iterator[Uux]:
    """In a directory that every account can enter: as root it runs as another user."""
    folder = Path(tempfile.mkdtemp(prefix="uux"))
    yield Uux(folder)
    shutil.rmtree(folder)


def test_a_message_is_left_with_uux(uux: Uux) -> None:
    mail = message(1, [f"apple!john@{HOME}", f"apple!jane@{HOME}"])
    outcomes = uux.deliver("apple", mail)
    assert [each.result for each in outcomes] == [Result.SENT] * 2
    assert "apple.C0001" in outcomes[0].reply.text
    assert not outcomes[0].final
    assert uux.committed == [101, 102]
    ((words, text, folder, variables),) = uux.runs
    sender = "(example!example.net!sender)"
    assert words == ["-j", "-g", "C", "-", "apple!rmail", "-f", sender, "(john)", "(jane)"]
    first, rest = text.split("\n", 1)
    assert first == "From example.net!sender Tue Nov 14 22:13:20 2023 remote from example"
    assert rest == "From: <a@example.org>\nSubject: contract\n\nHello\n"
    assert folder == "/"
    assert set(variables) <= {"PATH", "LC_ALL", "LC_CTYPE"}


def test_a_run_has_no_more_than_sixteen_recipients(uux: Uux) -> None:
    mail = message(1, [f"food!user{n}@{HOME}" for n in range(40)])
    assert len(uux.deliver("food", mail)) == 40
    assert [len([word for word in run[0] if word.startswith("(user")]) for run in uux.runs] == [
        16,
        16,
        8,
    ]


def test_a_route_sends_a_whole_domain(uux: Uux) -> None:
    uux.deliver("food!fruits", message(1, ["ann@far.example"]))
    words = uux.runs[0][0]
    assert words[4] == "food!fruits!rmail"
    assert words[-1] == "(far.example!ann)"


def test_verp_gives_each_recipient_a_run(uux: Uux) -> None:
    mail = replace(message(1, ["a@far.example", "b@far.example"]), verp=True)
    uux.deliver("apple", mail)
    assert [run[0][-2] for run in uux.runs] == [
        "(example!example.net!sender-a=far.example)",
        "(example!example.net!sender-b=far.example)",
    ]


@pytest.mark.parametrize("reverse_path", ["", "#@[]"])
def test_reports_come_from_nobody(uux: Uux, reverse_path: str) -> None:
    uux.deliver("apple", replace(message(1, ["a@far.example"]), reverse_path=reverse_path))
    words, text = uux.runs[0][:2]
    assert words[6] == "(MAILER-DAEMON)"
    assert text.startswith("From MAILER-DAEMON ")


@pytest.mark.parametrize(
    "local",
    [
        *("-oQ/tmp", "apple!-f", "a b", "a;id", "a|b", "$(id)", "`id`", "a>b", "a)b", "(a", "a'b"),
        *(
            "~user",
            "/etc/passwd",
            "a&b",
            "a*",
            "a\\b",
            "a,b",
            '"',
            "müller",
            "a" * 600,
            ":include:x",
        ),
    ],
)
def test_what_could_be_more_than_an_address_is_refused(uux: Uux, local: str) -> None:
    mail = message(1, [f"apple!{local}@{HOME}", f"apple!good@{HOME}"])
    outcomes = uux.deliver("apple", mail)
    results = {each.recipient_id: each.result for each in outcomes}
    assert results == {101: Result.BOUNCED, 102: Result.SENT}
    assert uux.runs[0][0][-1] == "(good)"
    assert uux.committed == [102]


def test_a_sender_who_could_be_more_is_refused(uux: Uux) -> None:
    mail = replace(message(1, [f"apple!good@{HOME}"]), reverse_path="o'brien@example.net")
    (outcome,) = uux.deliver("apple", mail)
    assert (outcome.result, outcome.reply.status) == (Result.BOUNCED, "5.1.7")
    assert uux.runs == []


@pytest.mark.parametrize("system", ["", "a;b", "-r", "a!!b", "a b"])
def test_a_next_hop_that_is_none(uux: Uux, system: str) -> None:
    with pytest.raises(ValueError, match="cannot be trusted"):
        uux.deliver(system, message(1, [f"apple!good@{HOME}"]))


@pytest.mark.parametrize(
    ("ends", "result", "status"),
    [
        ("sys.exit(75)", Result.DEFERRED, "4.3.0"),
        ("sys.exit(71)", Result.DEFERRED, "4.3.0"),
        ("sys.exit(1)", Result.DEFERRED, "4.3.0"),
        ("sys.exit(99)", Result.DEFERRED, "4.3.0"),
        ("sys.exit(64)", Result.BOUNCED, "5.3.5"),
        ("sys.exit(68)", Result.BOUNCED, "5.1.2"),
        ("sys.exit(69)", Result.BOUNCED, "5.3.0"),
        ("os.kill(os.getpid(), 9)", Result.DEFERRED, "4.3.0"),
    ],
)
def test_the_exit_status_decides(uux: Uux, ends: str, result: Result, status: str) -> None:
    uux.becomes(ends, says="what\x1b it\nsaid")
    (outcome,) = uux.deliver("apple", message(1, ["a@far.example"]))
    assert (outcome.result, outcome.reply.status) == (result, status)
    assert outcome.final
    if "exit" in ends:
        assert outcome.reply.text.endswith("what it said")


def test_a_uux_that_hangs_is_ended(uux: Uux) -> None:
    uux.becomes("time.sleep(600)")
    (outcome,) = uux.deliver("apple", message(1, ["a@far.example"]), patience=1.0)
    assert outcome.result is Result.DEFERRED
    assert "in time" in outcome.reply.text


@pytest.mark.parametrize("mode", [None, 0o755])
def test_a_uux_that_is_not_there_or_no_program(uux: Uux, mode: int | None) -> None:
    uux.path.unlink()
    if mode is not None:
        uux.path.write_bytes(b"\x7fELF nonsense")
        uux.path.chmod(mode)
    (outcome,) = uux.deliver("apple", message(1, ["a@far.example"]))
    assert outcome.result is Result.DEFERRED
    assert outcome.unreachable


def test_headers_name_paths_when_the_setting_says_so(uux: Uux) -> None:
    content = (
        b"From: Ann <ann@mail.example.test>\r\n"
        b"To: John <apple!john@mail.example.test>,\r\n bob@far.example\r\n"
        b'Cc: "a b"@far.example, not an address\r\n'
        b"Subject: ann@mail.example.test\r\n\r\nann@mail.example.test\r\n"
    )
    mail = message(1, [f"apple!john@{HOME}"])
    uux.deliver("apple", mail, content=content, rewrites_headers=True)
    uux.deliver("apple", mail, content=content)
    rewritten, plain = (run[1].split("\n", 1)[1] for run in uux.runs)
    assert rewritten == (
        "From: Ann <example!ann>\n"
        "To: John <john>, example!far.example!bob\n"
        'Cc: "a b"@far.example, not an address\n'
        "Subject: ann@mail.example.test\n\nann@mail.example.test\n"
    )
    assert plain == content.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("text", ["", "-j -g C", "-r", "-I /etc/uucp/other.conf --jobid -gC"])
def test_flags(text: str) -> None:
    assert parse_flags(text) == tuple(text.split())


@pytest.mark.parametrize("text", ["-", "apple!rmail", "-r x y", "C -g", "-g $(id)", "-j ;id"])
def test_words_that_are_no_flags(text: str) -> None:
    with pytest.raises(ValueError, match="option of uux"):
        parse_flags(text)
