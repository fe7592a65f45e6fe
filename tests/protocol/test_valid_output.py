"""Whatever comes in, what goes out is well-formed mail, and signatures survive."""

import email
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.errors import MissingHeaderBodySeparatorDefect
from email.message import Message

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mta.protocol.mime_structure import examine
from mta.protocol.mimeify import mimeify
from mta.protocol.rewrite import RewriteError, RewriteOptions, rewrite
from mta.protocol.seven_bit import CannotConvert, to_seven_bit
from mta.protocol.wrap import wrap
from tests.support.dkim_hashes import hashes
from tests.support.messages import BROKEN, GOOD

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
MESSAGES = [*GOOD.values(), *BROKEN.values()]
# Python's parser takes this old way of writing a field for the beginning of the body.
SPACE_BEFORE_COLON = re.compile(rb"^[!-9;-~]+[ \t]+:", re.M)
ENCLOSED = ("message/rfc822", "message/global")
PIECES = [
    b"\r\n",
    b"\r\n\r\n",
    b"--b\r\n",
    b"\r\n--b--\r\n",
    b"\r\n--=_alt_7Hx",
    b"--outer\r\n",
    b"--inner one--",
    b"MIME-Version: 1.0\r\n",
    b"Content-Type: text/plain\r\n",
    b"Content-Type: text/html; charset=\r\n",
    b"Content-Type: TEXT/plain; format=flowed;\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n",
    b'Content-Type: multipart/alternative; boundary="x y"\r\n',
    b"Content-Type: message/rfc822\r\n\r\n",
    b"Content-Transfer-Encoding: 8bit\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Transfer-Encoding: quoted-printable\r\n",
    b"To: a, <b>,\r\n c (d) e@f\r\n",
    b"From: =?utf-8?q?x?= <x\r\n",
    b"Cc: g: h, i;\r\n",
    b"Reply-To: \xc3\xbc@\xc3\xbc.example\r\n",
    b"DKIM-Signature: v=1; h=to:cc:from:content-type:mime-version; b=x\r\n",
    b"dkim-signature: h= date : message-id : from;\r\n\tb=x\r\n",
    b"Return-Path: <x@y>\r\n",
    b"Received-SPF: pass (mail.example.test: fine)\r\n",
    b"From someone\r\n",
    b"stray\r\n",
    b" folded\r\n",
    b"\xc3\xbc",
    b"\xff",
    b"\x00",
    b"\x1b$B",
    b"=",
    b'"',
    b";",
    b":",
    b"x" * 1200,
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A message of the collection with some octets removed, repeated, put in or moved."""
    content = draw(st.sampled_from(MESSAGES))
    for _ in range(draw(st.integers(0, 4))):
        # Most of what decides stands at the beginnings of lines.
        line_starts = [0, *(match.end() for match in re.finditer(rb"\r\n", content))]
        place = st.one_of(st.sampled_from(line_starts), st.integers(0, len(content)))
        start, end = sorted((draw(place), draw(place)))
        match draw(st.sampled_from(["insert", "insert", "remove", "repeat", "cut", "splice"])):
            case "insert":
                content = content[:start] + draw(st.sampled_from(PIECES)) + content[start:]
            case "remove":
                content = content[:start] + content[min(end, start + 80) :]
            case "repeat":
                content = content[:end] + content[start:]
            case "cut":
                content = content[:end]
            case "splice":
                content = content[:start] + draw(st.sampled_from(MESSAGES))
    return re.sub(rb"\r\n|\r|\n", b"\r\n", content)


TYPES = ["", "text/plain", "text/html; charset=utf-8", 'TEXT/Plain; x="a;b";', "image/png", "odd"]
BODIES = [
    "",
    "x\r\n",
    "\r\n\r\n",
    "two\r\nlines",
    "é\r\n",
    "y" * 1100,
    "eA==\r\n",
    "--\r\n",
    "a=20b",
]
ENCODINGS = ["", "7bit", "8BIT", "binary (so)", "quoted-printable", "base64"]
KINDS = ["mixed", "alternative", "digest", "signed", "encrypted", "related"]


def part(fields: list[str], body: str) -> str:
    return "".join(f"{field}\r\n" for field in fields if field) + "\r\n" + body


def labels(content_type: str, encoding: str) -> list[str]:
    return [
        content_type and f"Content-Type: {content_type}",
        encoding and f"Content-Transfer-Encoding: {encoding}",
    ]


@st.composite
def entities(draw: st.DrawFn, depth: int = 0) -> str:
    """A part: mostly well-formed, with labels that may be missing or wrong."""
    kind = draw(st.sampled_from(["leaf", "leaf", "multipart", "message"])) if depth < 4 else "leaf"
    if kind == "leaf":
        fields = labels(draw(st.sampled_from(TYPES)), draw(st.sampled_from(ENCODINGS)))
        return part(fields, draw(st.sampled_from(BODIES)))
    encoding = draw(st.sampled_from(["", "", "7bit", "8bit"]))
    if kind == "message":
        version = draw(st.sampled_from(["", "MIME-Version: 1.0\r\n"]))
        inner = draw(entities(depth=depth + 1))
        return part(labels("message/rfc822", encoding), f"Subject: in\r\n{version}{inner}")
    boundary = f"=_{draw(st.integers(10, 99))}_{depth}"
    children = draw(st.lists(entities(depth=depth + 1), min_size=1, max_size=3))
    parts = "".join(f"--{boundary}\r\n{child}\r\n" for child in children)
    kind = draw(st.sampled_from(KINDS))
    around = draw(st.sampled_from(["", "", "around\r\n"]))
    fields = labels(f'multipart/{kind}; boundary="{boundary}"', encoding)
    return part(fields, f"{around}{parts}--{boundary}--\r\n{around}")


@st.composite
def built(draw: st.DrawFn) -> bytes:
    """A message of nested parts, perhaps signed."""
    names = draw(st.lists(st.sampled_from(["from", "to", "content-type", "mime-version", "date"])))
    signature = f"DKIM-Signature: v=1; h={':'.join(names)}; b=x\r\n" if names else ""
    sender = draw(st.sampled_from(["ann", "Ann <ann@example.com>", "a b", "é <x@é.example>"]))
    version = draw(st.sampled_from(["", "MIME-Version: 1.0\r\n", "mime-version: 1.0 (x)\r\n"]))
    return f"{signature}From: {sender}\r\n{version}{draw(entities())}".encode()


def entities_of(message: Message) -> Iterator[Message]:
    """All parts, but not the blocks of a report, in which Python would look for parts again."""
    yield message
    if message.get_content_maintype() == "multipart" or message.get_content_type() in ENCLOSED:
        for entity in message.get_payload() if message.is_multipart() else []:
            yield from entities_of(entity)


def assert_valid(content: bytes, *, smtputf8: bool = False) -> None:
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", content) is None
    assert examine(content, smtputf8=smtputf8, max_depth=100, max_parts=2000) == ()
    for entity in entities_of(email.message_from_bytes(content)):
        if not entity.is_multipart():
            entity.get_payload(decode=True)
        defects = entity.defects
        if SPACE_BEFORE_COLON.search(content):
            defects = [d for d in defects if not isinstance(d, MissingHeaderBodySeparatorDefect)]
        assert not defects


def assert_unharmed(original: bytes, content: bytes) -> None:
    """Each signature that was there hashes as before."""
    assert hashes(content) == hashes(original)


def check(original: bytes, options: RewriteOptions) -> None:
    try:
        content = rewrite(original, options)
    except RewriteError as error:
        assert options.submission
        assert str(error).isascii() and str(error).isprintable()
        return
    assert rewrite(content, options) is content
    problems = examine(content, smtputf8=options.smtputf8)
    completed = mimeify(content)
    assert mimeify(completed) == completed
    seven_bit = converted(completed)
    if not problems:
        assert_valid(completed, smtputf8=options.smtputf8)
        assert_unharmed(original, completed)
        if seven_bit is not None:
            assert_valid(seven_bit)
        return
    assert all(str(problem).isascii() and str(problem).isprintable() for problem in problems)
    wrapped = wrap(content, problems, hostname="mail.example.test", at=AT, message_id="<w@x>")
    assert_valid(wrapped)
    attached = email.message_from_bytes(wrapped).get_payload(1)
    assert attached.get_payload(decode=True) == content
    assert converted(wrapped) is wrapped


def converted(content: bytes) -> bytes | None:
    try:
        result = to_seven_bit(content)
    except CannotConvert:
        assert not content.isascii()
        return None
    assert result.isascii()
    return result


def options(*, submission: bool, smtputf8: bool) -> RewriteOptions:
    return RewriteOptions(
        hostname="mail.example.test",
        default_domain="example.test",
        submission=submission,
        smtputf8=smtputf8,
        add_date=AT if submission else None,
        add_message_id="<added@mail.example.test>" if submission else "",
    )


@pytest.mark.parametrize("submission", [False, True], ids=["relayed", "submitted"])
@pytest.mark.parametrize("smtputf8", [False, True], ids=["ascii", "utf8"])
@pytest.mark.parametrize("name", [*GOOD, *BROKEN])
def test_messages_as_they_are_sent(name: str, smtputf8: bool, submission: bool) -> None:
    original = (GOOD | BROKEN)[name]
    check(original, options(submission=submission, smtputf8=smtputf8))


@settings(
    max_examples=2500,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.one_of(mutated(), built()), st.booleans(), st.booleans())
def test_messages_built_and_mutated(original: bytes, submission: bool, smtputf8: bool) -> None:
    check(original, options(submission=submission, smtputf8=smtputf8))
