"""The script of a mailbox at delivery, as the spine carries it out: from the queue to the files."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from mta import forward_confirmation, mailbox_scripts, runtime
from mta.models import (
    Content,
    Domain,
    ForwardConfirmation,
    Mailbox,
    Message,
    Recipient,
    RuleHit,
    State,
)
from mta.scheduler import runner
from mta.transports import registry
from tests.queue import rows

ANN = "ann@example.com"
HOUR = timedelta(hours=1)
FRIEND = "friend@far.example"
LETTER = b"From: bob@example.org\r\nTo: ann@example.com\r\nSubject: dev news\r\n\r\nHello\r\n"


@pytest.fixture
def root(db, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(runtime, "mail_root", lambda: tmp_path)
    for made in (runtime.directory, runtime.shelf, runtime.workshop):
        made.cache_clear()
    yield tmp_path
    for made in (runtime.directory, runtime.shelf, runtime.workshop):
        made.cache_clear()


@pytest.fixture
def ann(root: Path) -> Mailbox:
    domain = Domain.objects.create(name="example.com")
    Mailbox.objects.create(domain=domain, local_part="bob")
    return Mailbox.objects.create(domain=domain, local_part="ann")


def script(mailbox: Mailbox, text: str) -> None:
    mailbox_scripts.save(mailbox, "main", text, saved_by="test")
    mailbox_scripts.activate(mailbox, "main")


def deliver(content: bytes = LETTER, *, to: str = ANN, **fields) -> Recipient:
    """A message from the queue to its end; gives the recipient as it stands then."""
    message = rows.make_message(content=content, created_at=timezone.now() - HOUR, **fields)
    message.recipient_set.all().delete()
    recipient = rows.add_recipient(message, to, transport="local", nexthop="")
    run()
    recipient.refresh_from_db()
    return recipient


def run() -> None:
    runtime.directory().refresh()
    # The clock of the test's transaction stands still.
    Recipient.objects.filter(state=State.QUEUED).update(next_attempt=timezone.now() - HOUR)
    runner.run(registry.get("local"), runtime.workshop())


def again(recipient: Recipient) -> Recipient:
    """As after a crash before the outcome was written."""
    Recipient.objects.filter(pk=recipient.pk).update(
        state=State.QUEUED, attempts=1, finished_at=None, next_attempt=timezone.now()
    )
    Message.objects.filter(pk=recipient.message_id).update(pending=1, finished_at=None)
    run()
    recipient.refresh_from_db()
    return recipient


def files(root: Path, folder: str = "", name: str = "ann") -> list[Path]:
    home = root / "example.com" / name / "Maildir" / folder
    return sorted(path for place in ("new", "cur") for path in (home / place).glob("*"))


def made(**fields) -> list[Message]:
    """What was queued besides, once each."""
    return list(Message.objects.filter(origin__isnull=False, **fields).order_by("id"))


def test_without_a_script(root, ann):
    recipient = deliver()
    assert recipient.last_reply == "250 2.0.0 delivered to example.com/ann"
    assert len(files(root)) == 1
    assert not RuleHit.objects.exists()


def test_a_script_files_by_subject(root, ann):
    script(
        ann,
        'require "fileinto";\n# rule:[News]\n'
        'if header :contains "subject" "dev" { fileinto "Lists/dev"; }\n',
    )
    recipient = deliver()
    assert recipient.state == State.DELIVERED
    assert recipient.last_reply == "250 2.0.0 delivered to example.com/ann folder Lists/dev"
    assert (files(root), len(files(root, ".Lists.dev"))) == ([], 1)
    hit = RuleHit.objects.get()
    assert (hit.mailbox, hit.rule, hit.what) == (ann, "News", "filed into Lists/dev")
    assert (hit.message_id, hit.recipient) == (recipient.message_id, ANN)
    deliver(LETTER.replace(b"dev news", b"other"))
    assert len(files(root)) == 1


def test_a_new_script_counts_for_the_next_message(root, ann):
    deliver()
    script(ann, "discard;")
    assert deliver().last_reply == "250 2.0.0 discarded by rule line 1"
    mailbox_scripts.activate(ann, None)
    deliver()
    assert len(files(root)) == 2


def test_a_redirect_goes_on_and_is_queued_once(root, ann):
    script(ann, 'redirect "bob@example.com";')
    recipient = deliver(reverse_path="alice@example.org")
    assert recipient.last_reply == "250 2.0.0 forwarded to bob@example.com"
    again(recipient)
    (forwarded,) = made()
    assert forwarded.reverse_path == "alice@example.org"
    content = bytes(Content.objects.get(message=forwarded).data)
    assert f"Delivered-To: {ANN}\r\n".encode() in content
    assert files(root) == []
    run()
    assert len(files(root, name="bob")) == 1
    assert RuleHit.objects.count() == 1


def test_a_redirect_elsewhere_waits_for_its_confirmation(root, ann):
    script(ann, f'redirect "{FRIEND}";')
    assert deliver().last_reply == "250 2.0.0 delivered to example.com/ann"
    deliver()
    assert [each.subject for each in made()] == ["A filter rule of your mailbox does not work"]
    run()
    assert len(files(root)) == 3

    asked: list[bytes] = []
    forward_confirmation.ask(
        ann,
        FRIEND,
        hostname="mail.example.test",
        site="https://mail.example.test",
        enqueue=lambda envelope, content, origin: asked.append(content),
    )
    text = asked[0].replace(b"=\r\n", b"").decode()
    token = text.partition("https://mail.example.test/mail/confirm/")[2].split()[0]
    assert token not in str(ForwardConfirmation.objects.values_list())
    assert forward_confirmation.confirm("wrong") is None
    assert forward_confirmation.confirm(token) == ForwardConfirmation.objects.get()
    assert deliver().last_reply == f"250 2.0.0 forwarded to {FRIEND}"
    assert len(files(root)) == 3


def test_a_redirect_to_itself_is_kept(root, ann):
    script(ann, f'redirect "{ANN}";')
    deliver()
    assert len(files(root)) == 1
    assert not made()


@pytest.mark.parametrize(
    ("source", "reverse_path", "state"),
    [
        ("local", "alice@example.org", State.FAILED),
        ("uucp", "alice@example.org", State.FAILED),
        ("local", "", State.DELIVERED),
        ("esmtp", "alice@example.org", State.DELIVERED),
    ],
)
def test_a_rejection_that_no_session_could_hear(root, ann, source, reverse_path, state):
    script(ann, 'require "reject"; reject "no thanks";')
    recipient = deliver(source=source, reverse_path=reverse_path)
    assert recipient.state == state
    if state == State.FAILED:
        assert recipient.last_reply == "550 5.7.1 no thanks"
    assert len(files(root)) == (state == State.DELIVERED)


def test_a_script_that_fails_keeps_the_mail_and_tells_the_owner_once(root, ann):
    script(ann, "keep;")
    ann.scripts.update(text="broken(")
    for _ in range(3):
        deliver()
    (told,) = made()
    assert told.reverse_path == ""
    run()
    assert len(files(root)) == 4
    assert len(made()) == 1


def test_a_folder_that_cannot_be_made(root, ann):
    script(ann, 'require "fileinto"; fileinto "Lists";')
    blocked = root / "example.com" / "ann" / "Maildir" / ".Lists"
    deliver(LETTER, to="bob@example.com")
    blocked.parent.mkdir(parents=True)
    blocked.write_text("in the way")
    recipient = deliver()
    assert recipient.last_reply == "250 2.0.0 delivered to example.com/ann"
    (told,) = made()
    assert b'the folder "Lists" cannot be made' in bytes(Content.objects.get(message=told).data)


def test_a_repeated_delivery_finds_its_files(root, ann):
    script(ann, 'require ["fileinto", "copy"]; fileinto :copy "Lists";')
    recipient = deliver()
    (read,) = files(root, ".Lists")
    read.rename(read.parent.parent / "cur" / f"{read.name}:2,S")
    again(recipient)
    assert (len(files(root)), len(files(root, ".Lists"))) == (1, 1)
    assert RuleHit.objects.count() == 1
