"""Mail for the system's users: what their instruction files make of it (spec 3.8, A4, A5)."""

import dataclasses
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mta.transports.account import Account
from mta.transports.base import (
    AccountSettings,
    DeliveryContext,
    DeliveryRequest,
    Outcome,
    QueuedMessage,
    Result,
)
from tests.support.accounts import User, system_user
from tests.transports.contract import CONTENT, Book, context, message

ANN = "ann@mail.example.test"
TEXT = CONTENT.replace(b"\r\n", b"\n")
LINES = b"Delivered-To: ann@mail.example.test\nReturn-Path: <sender@example.net>\n"


@pytest.fixture
def ann(monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    with system_user("ann", monkeypatch) as user:
        yield user


def settings(**fields) -> DeliveryContext:
    return dataclasses.replace(context(Path("unused")), accounts=AccountSettings(**fields))


def deliver(
    address: str = ANN,
    delivery_context: DeliveryContext | None = None,
    queued: QueuedMessage | None = None,
) -> Outcome:
    request = DeliveryRequest("account", "ann", (queued or message(1, [address]),))
    (outcome,) = Account().deliver(request, delivery_context or settings())
    return outcome


def with_content(content: bytes) -> DeliveryContext:
    return dataclasses.replace(settings(), content=lambda number: content)


def verdict(outcome: Outcome) -> tuple[str, str]:
    return outcome.result.value, outcome.reply.status


def test_takes_what_the_directory_says():
    class Accounts(Book):
        def account(self, address: str) -> str | None:
            return {"ann-x@h": "ann", "list@h": "alias:list@h"}.get(address)

    book = Accounts()
    taken = [Account().claim(each, book) for each in ("ann-x@h", "list@h", "bob@h")]
    assert taken == ["ann", "alias:list@h", None]


# --- default delivery ---------------------------------------------------------------------------


@pytest.mark.parametrize("instructions", [None, ""])
def test_without_instructions_the_default_applies(ann, instructions):
    if instructions is not None:
        ann.write(".courier", instructions)
    outcome = deliver()
    assert verdict(outcome) == ("sent", "2.0.0")
    assert str(outcome.reply) == "250 2.0.0 ann: delivered"
    assert ann.letters() == [LINES + TEXT]
    made = [ann.home / "Maildir", *(ann.home / "Maildir").iterdir()]
    assert {(path.stat().st_uid, path.stat().st_mode & 0o777) for path in made} == {
        (ann.uid, 0o700)
    }


def test_comments_only_discard(ann):
    ann.write(".courier", "# nothing is wanted\n")
    outcome = deliver()
    assert str(outcome.reply) == "250 2.0.0 ann: discarded as the instructions say"
    assert ann.letters() == []


def test_a_default_of_several_lines(ann):
    assert deliver(delivery_context=settings(default_delivery="./Maildir\n| cat >copy")).result
    assert ann.letters() == [LINES + TEXT]
    assert (ann.home / "copy").read_bytes() == TEXT


def test_the_switch_to_qmail_files(ann):
    ann.write(".courier", "| exit 100\n")
    ann.write(".qmail", "./Other/\n")
    assert verdict(deliver(delivery_context=settings(stem="qmail"))) == ("sent", "2.0.0")
    assert len(ann.letters("Other")) == 1


# --- extensions ---------------------------------------------------------------------------------


def test_an_extension_has_its_file(ann):
    ann.write(".courier-mlm", "./lists/\n")
    ann.write(".courier-mlm-default", '| echo "$EXT/$DEFAULT" >said\n')
    assert verdict(deliver("ann-mlm@mail.example.test")) == ("sent", "2.0.0")
    assert len(ann.letters("lists")) == 1
    assert verdict(deliver("Ann+mlm-unsub@mail.example.test")) == ("sent", "2.0.0")
    assert (ann.home / "said").read_text() == "mlm-unsub/unsub\n"


def test_an_extension_without_a_file_is_nobody(ann):
    ann.write(".courier", "./Maildir\n")
    outcome = deliver("ann-none@mail.example.test")
    assert outcome.result is Result.BOUNCED
    assert str(outcome.reply) == "550 5.1.1 no such user here"


def test_an_empty_file_for_an_extension_means_the_default(ann):
    ann.write(".courier-x", "")
    deliver("ann-x@mail.example.test")
    assert len(ann.letters()) == 1


def test_dots_lead_nowhere(ann):
    ann.write(".courier-a:b", "./dots/\n")
    deliver("ann-a.b@mail.example.test")
    assert len(ann.letters("dots")) == 1


def test_the_environment_of_a_command(ann):
    """Vector A5."""
    ann.write(".courier-foo-default", "| env >seen; pwd >>seen\n")
    deliver("ann-foo-bar-foobar@mail.example.test")
    seen = dict(
        line.partition("=")[::2] for line in (ann.home / "seen").read_text().splitlines()[:-1]
    )
    expected = {
        "DEFAULT": "bar-foobar",
        "EXT": "foo-bar-foobar",
        "EXT2": "bar-foobar",
        "EXT3": "foobar",
        "EXT4": "",
        "LOCAL": "ann-foo-bar-foobar",
        "HOST": "mail.example.test",
        "RECIPIENT": "ann-foo-bar-foobar@mail.example.test",
        "SENDER": "sender@example.net",
        "DTLINE": "Delivered-To: ann-foo-bar-foobar@mail.example.test",
        "RPLINE": "Return-Path: <sender@example.net>",
        "HOME": str(ann.home),
        "USER": "ann",
        "SHELL": "/bin/sh",
        "MAILDROPDEFAULT": "./Maildir",
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert seen["UFLINE"].startswith("From sender@example.net ")
    assert "DATABASE_URL" not in seen


def test_a_command_is_told_of_the_quota(ann):
    ann.write(".courier", './Maildir\n| echo "$MAILDIRQUOTA" >quota\n')
    deliver(ANN)
    assert (ann.home / "quota").read_text() == "\n"
    ann.write("Maildir/maildirsize", "10000000S,1000C\n")
    deliver(ANN)
    assert (ann.home / "quota").read_text() == "10000000S,1000C\n"


def test_verp_goes_to_commands_and_files(ann):
    ann.write(".courier", './Maildir\n| echo "$SENDER" >said\n')
    queued = dataclasses.replace(message(1, [ANN]), verp=True)
    deliver(queued=queued)
    varied = "sender-ann=mail.example.test@example.net"
    assert (ann.home / "said").read_text() == f"{varied}\n"
    assert f"Return-Path: <{varied}>\n".encode() in ann.letters()[0]


# --- mailboxes ----------------------------------------------------------------------------------


def test_an_mbox(ann):
    ann.write(".courier", "./Mailbox\n")
    content = b"Subject: x\r\n\r\nFrom here\r\n>From there\r\n"
    deliver(delivery_context=with_content(content))
    first, rest = (ann.home / "Mailbox").read_bytes().split(b"\n", 1)
    assert first.startswith(b"From sender@example.net ")
    assert rest == LINES + b"Subject: x\n\n>From here\n>>From there\n"
    assert (ann.home / "Mailbox").stat().st_mode & 0o777 == 0o600


def test_an_existing_directory_is_a_maildir_and_an_existing_file_an_mbox(ann):
    ann.write(".courier", "./box\n./Maildir\n")
    ann.write("Maildir", "")
    for part in ("", "new", "cur", "tmp"):
        (ann.home / "box" / part).mkdir()
        os.chown(ann.home / "box" / part, ann.uid, ann.gid)
    assert deliver().result is Result.SENT
    assert len(ann.letters("box")) == 1
    assert (ann.home / "Maildir").read_bytes().endswith(TEXT)


def test_a_folder_of_a_maildir(ann):
    ann.write(".courier", "./Maildir\n./Maildir/.Lists\n")
    deliver()
    assert len(ann.letters("Maildir/.Lists")) == 1
    assert (ann.home / "Maildir/.Lists/maildirfolder").exists()


def test_a_directory_with_other_things_is_not_made_a_maildir(ann):
    ann.write(".courier", "./\n")
    assert verdict(deliver()) == ("deferred", "4.3.5")


def test_a_repeated_delivery_finds_its_own_file(ann):
    queued = message(1, [ANN])
    deliver(queued=queued)
    (recipient,) = queued.recipients
    again = dataclasses.replace(queued, recipients=(dataclasses.replace(recipient, attempt=2),))
    (letter,) = (ann.home / "Maildir/new").iterdir()
    letter.rename(ann.home / "Maildir/cur" / f"{letter.name}:2,S")
    assert deliver(queued=again).result is Result.SENT
    assert ann.letters() == []


@pytest.mark.parametrize("quota", ["100S", "10000S,1C"])
def test_the_quota_of_the_maildir_itself(ann, quota):
    deliver()
    ann.write("Maildir/maildirsize", f"{quota}\n        117 1\n")
    outcome = deliver(queued=message(2, [ANN]))
    assert str(outcome.reply) == "451 4.2.2 the Maildir is over its quota"
    assert len(ann.letters()) == 1
    ann.write("Maildir/maildirsize", "10000S\n        117 1\n")
    assert deliver(queued=message(2, [ANN])).result is Result.SENT
    assert (ann.home / "Maildir/maildirsize").read_text().splitlines()[-1].split() == ["117", "1"]


@pytest.mark.parametrize("content", [b"", b"\r\n", b"no header end", b"\x00\xff\r\n\r\n\n\r"])
def test_strange_content_is_kept(ann, content):
    ann.write(".courier", "./Maildir\n| cat >seen\n")
    assert deliver(delivery_context=with_content(content)).result is Result.SENT
    text = content.replace(b"\r\n", b"\n")
    assert ann.letters() == [LINES + text]
    assert (ann.home / "seen").read_bytes() == text


def test_international_and_null_addresses(ann):
    ann.write(".courier-default", './Maildir\n| printf "%s|%s" "$EXT" "$SENDER" >said\n')
    queued = dataclasses.replace(message(1, ["ann-jörg@mail.example.test"]), reverse_path="")
    assert deliver(queued=queued).result is Result.SENT
    (letter,) = ann.letters()
    lines = "Delivered-To: ann-jörg@mail.example.test\nReturn-Path: <>\n"
    assert letter.startswith(lines.encode())
    assert (ann.home / "said").read_text() == "jörg|"


def test_several_deliveries_make_one_maildir(ann):
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda n: deliver(queued=message(n, [ANN])), range(1, 5)))
    assert {outcome.result for outcome in outcomes} == {Result.SENT}
    assert len(ann.letters()) == 4


def test_one_process_serves_a_request(ann):
    ann.write(".courier", "| echo $PPID >>parents\n")
    request = DeliveryRequest("account", "ann", tuple(message(n, [ANN]) for n in range(1, 4)))
    outcomes = list(Account().deliver(request, settings()))
    assert [outcome.recipient_id for outcome in outcomes] == [101, 201, 301]
    parents = (ann.home / "parents").read_text().split()
    assert len(parents) == 3
    assert len(set(parents)) == 1


# --- commands -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "expected", "goes_on"),
    [
        ("exit 0", ("sent", "2.0.0"), True),
        ("exit 99", ("sent", "2.0.0"), False),
        *((f"exit {code}", ("bounced", None), False) for code in (64, 65, 67, 68, 69, 70)),
        *((f"exit {code}", ("bounced", None), False) for code in (76, 77, 78, 100, 112)),
        ("kill -9 $$", ("bounced", "5.7.1"), False),
        *((f"exit {code}", ("deferred", "4.3.0"), False) for code in (1, 10, 71, 75, 111)),
        ("/not/there", ("deferred", "4.3.0"), False),
    ],
)
def test_exit_codes(ann, command, expected, goes_on):
    ann.write(".courier", f"| {command}\n| touch further\n&bob@example.org\n")
    outcome = deliver()
    assert outcome.result.value == expected[0]
    assert expected[1] in (None, outcome.reply.status)
    assert (ann.home / "further").exists() is goes_on
    assert outcome.forwards == (("bob@example.org",) if goes_on else ())


def test_what_a_failing_command_says_is_the_diagnostic(ann):
    ann.write(".courier", "| echo out; echo err >&2; exit 100\n")
    outcome = deliver()
    assert (outcome.reply.code, outcome.reply.text) == (550, "out\nerr")
    ann.write(".courier", "| head -c 100000 /dev/zero | tr '\\0' x; exit 75\n")
    assert len(deliver().reply.text) == 4095


def test_all_commands_share_one_time(ann):
    ann.write(".courier", "| sleep 300\n")
    outcome = deliver(delivery_context=settings(timeout=0.2))
    assert verdict(outcome) == ("deferred", "4.3.0")
    assert "took more than" in outcome.reply.text


def test_an_address_is_never_read_by_a_shell(ann):
    ann.write(".courier-default", '| printf %s "$EXT" >said\n')
    deliver("ann-$(touch${IFS}evil)`id`@mail.example.test")
    assert (ann.home / "said").read_text() == "$(touch${IFS}evil)`id`"
    assert not (ann.home / "evil").exists()


def test_each_command_gets_the_whole_message(ann):
    ann.write(".courier", "| cat >one\n| head -c 3 >two\n| cat >three\n")
    deliver()
    texts = [(ann.home / name).read_bytes() for name in ("one", "two", "three")]
    assert texts == [TEXT, TEXT[:3], TEXT]


def test_nobody_can_change_the_message_for_others(ann):
    ann.write(".courier", "| echo changed >/proc/self/fd/0; cat >seen; true\n")
    deliver()
    assert (ann.home / "seen").read_bytes() == TEXT


def test_consent_comes_before_what_cannot_be_repeated(ann):
    noted: list[int] = []

    def committing(ids):
        assert not (ann.home / "ran").exists()
        noted.extend(ids)

    ann.write(".courier", "./Maildir\n| touch ran\n| touch more\n")
    deliver(delivery_context=dataclasses.replace(settings(), committing=committing))
    assert noted == [101]
    assert (ann.home / "more").exists()


def test_a_maildir_needs_no_consent(ann):
    def committing(ids):
        raise AssertionError

    assert deliver(delivery_context=dataclasses.replace(settings(), committing=committing)).result


class _LeaseLost(Exception):
    pass


def test_without_consent_nothing_is_done(ann):
    def committing(ids):
        raise _LeaseLost

    ann.write(".courier", "| touch ran\n")
    with pytest.raises(_LeaseLost):
        deliver(delivery_context=dataclasses.replace(settings(), committing=committing))
    assert not (ann.home / "ran").exists()


# --- dynamic instructions -----------------------------------------------------------------------


@pytest.mark.parametrize(("code", "goes_on"), [(0, True), (99, False)])
def test_what_a_command_prints_is_carried_out(ann, code, goes_on):
    ann.write(".courier", f"|| echo ./printed/; echo said >&2; exit {code}\n| touch further\n")
    assert deliver().result is Result.SENT
    assert len(ann.letters("printed")) == 1
    assert (ann.home / "further").exists() is goes_on


def test_a_failing_command_prints_for_nothing(ann):
    ann.write(".courier", "|| echo ./printed/; echo why >&2; exit 100\n")
    outcome = deliver()
    assert (outcome.result, outcome.reply.text) == (Result.BOUNCED, "why")
    assert ann.letters("printed") == []


@pytest.mark.parametrize(("levels", "expected"), [(3, "sent"), (4, "bounced")])
def test_three_levels(ann, levels, expected):
    script = 'n=$(cat n)\necho $((n - 1)) >n\n[ $n = 0 ] && echo ./end/ || echo "||sh next"\n'
    ann.write("next", script)
    ann.write("n", f"{levels - 1}\n")
    ann.write(".courier", "||sh next\n")
    outcome = deliver()
    assert outcome.result.value == expected
    assert len(ann.letters("end")) == (expected == "sent")


def test_more_than_8191_octets_of_instructions(ann):
    ann.write(".courier", "|| head -c 8190 /dev/zero | tr '\\0' '#'; echo\n")
    assert deliver().result is Result.SENT
    ann.write(".courier", "|| head -c 8191 /dev/zero | tr '\\0' '#'; echo\n")
    assert verdict(deliver()) == ("bounced", "5.6.0")


def test_dynamic_instructions_can_be_forbidden(ann):
    ann.write(".courier", "|| touch ran\n")
    outcome = deliver(delivery_context=settings(dynamic=False))
    assert outcome.result is Result.BOUNCED
    assert not (ann.home / "ran").exists()


# --- forwards -----------------------------------------------------------------------------------


def test_addresses_to_forward_to(ann):
    ann.write(".courier", '&bob@example.org\ncarl, "b c"@example.org\n!bob@example.org\n')
    outcome = deliver()
    assert outcome.forwards == (
        "bob@example.org",
        "carl@mail.example.test",
        "b c@example.org",
    )
    assert str(outcome.reply) == "250 2.0.0 ann: forwarded to 3 addresses"


def test_nothing_is_forwarded_when_a_later_line_fails(ann):
    ann.write(".courier", "&bob@example.org\n| exit 75\n")
    outcome = deliver()
    assert (outcome.result, outcome.forwards) == (Result.DEFERRED, ())


def test_mail_that_has_been_here(ann):
    content = b"Delivered-To: ANN@mail.example.test\r\n\r\nx\r\n"
    outcome = deliver(delivery_context=with_content(content))
    assert str(outcome.reply) == "554 5.4.6 mail loop: it has been here before"


# --- .forward (spec 3.9) ------------------------------------------------------------------------

FORWARDING = settings(default_delivery="|| dotforward\n./Maildir")


@pytest.mark.parametrize(
    ("text", "forwards", "keeps"),
    [
        (None, (), True),
        ("john, john@o.org", ("john@mail.example.test", "john@o.org"), False),
        ("john, \\ann", ("john@mail.example.test",), True),
        ("ann@mail.example.test", (), True),
        ("", (), True),
        ("# nobody", (), True),
        ("seen@o.org", (), True),
        (":include:list", ("eve@o.org",), False),
    ],
)
def test_a_forward_file(ann, text, forwards, keeps):
    if text is not None:
        ann.write(".forward", text)
    ann.write("list", "eve@o.org\n")
    content = b"Delivered-To: seen@o.org\r\n\r\nx\r\n"
    outcome = deliver(delivery_context=dataclasses.replace(FORWARDING, content=lambda id: content))
    assert (outcome.result, outcome.forwards) == (Result.SENT, forwards)
    assert len(ann.letters()) == keeps


def test_commands_and_files_of_a_forward_file(ann):
    ann.write(".forward", '\\john, "| cat >said"\n./box/\n')
    outcome = deliver(delivery_context=FORWARDING)
    assert outcome.forwards == ("john@mail.example.test",)
    assert (ann.home / "said").read_bytes() == TEXT
    assert len(ann.letters("box")) == 1
    assert ann.letters() == []


def test_a_list_that_cannot_be_read_fails(ann):
    ann.write(".forward", ":include:/not/there\n")
    assert deliver(delivery_context=FORWARDING).result is Result.BOUNCED
    assert ann.letters() == []


# --- aliases ------------------------------------------------------------------------------------


def test_the_programs_of_an_alias(ann):
    out = ann.home / "out"
    ann.home.chmod(0o711)
    out.mkdir()
    os.chown(out, ann.uid, ann.gid)
    delivery_context = dataclasses.replace(
        settings(alias_user="ann"),
        alias_instructions=lambda name: {
            "team@example.com": (f"| cat >{out}/message; pwd >{out}/home", f"{out}/box"),
        }[name],
    )
    request = DeliveryRequest(
        "account", "alias:team@example.com", (message(1, [".xalias/team@example.com"]),)
    )
    (outcome,) = Account().deliver(request, delivery_context)
    assert verdict(outcome) == ("sent", "2.0.0")
    assert (out / "message").read_bytes() == TEXT
    assert (out / "home").read_text() == "/\n"
    assert b"Delivered-To: team@example.com\n" in (out / "box").read_bytes()


def test_an_alias_that_has_no_programs_any_more():
    request = DeliveryRequest("account", "alias:x@example.com", (message(1, ["x@example.com"]),))
    (outcome,) = Account().deliver(request, settings())
    assert outcome.result is Result.DEFERRED
