"""The script of a mailbox at delivery, as the spine carries it out: from the queue to the files."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from mta import forward_confirmation, mailbox_follow_up, mailbox_scripts, runtime
from mta.models import (
    Content,
    Domain,
    ForwardConfirmation,
    Mailbox,
    Message,
    Recipient,
    RuleHit,
    SeenKey,
    State,
    VacationReply,
)
from mta.protocol.mailbox_plan import Answer, FollowUp, Notice
from mta.queue import mailbox_memory, retention
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


def letters(root: Path) -> list[Path]:
    """Those in the inbox that were sent by `deliver`."""
    return [path for path in files(root) if b"Subject: dev news" in path.read_bytes()]


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
    question, told = made()
    assert question.recipient_set.get().address == FRIEND
    assert told.subject == "A filter rule of your mailbox does not work"
    assert len(letters(root)) == 2

    content = bytes(Content.objects.get(message=question).data).replace(b"=\r\n", b"").decode()
    token = content.partition("/mail/confirm/")[2].split()[0]
    assert token not in str(ForwardConfirmation.objects.values_list())
    assert forward_confirmation.confirm("wrong") is None
    assert forward_confirmation.confirm(token) == ForwardConfirmation.objects.get()
    assert deliver().last_reply == f"250 2.0.0 forwarded to {FRIEND}"
    assert len(letters(root)) == 2


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


def carry_out(follow_up: FollowUp, recipient: Recipient | None = None) -> Recipient:
    recipient = recipient or rows.make_message(ANN).recipient_set.get()
    mailbox_follow_up.carry_out(recipient, follow_up, "mail.example.test", runtime.queue_message)
    return recipient


def answer(content: bytes = b"Subject: away\r\n\r\n", seconds: int = 86_400) -> FollowUp:
    return FollowUp(ANN, answers=(Answer(FRIEND, "handle", seconds, content),))


def test_an_answer_goes_once_to_each_sender(root, ann):
    carry_out(answer())
    carry_out(answer())
    (sent,) = made()
    assert sent.reverse_path == ""
    assert list(sent.recipient_set.values_list("address", "notify")) == [(FRIEND, "NEVER")]
    assert bytes(Content.objects.get(message=sent).data).endswith(b"Subject: away\r\n\r\n")


def test_another_answer_when_its_time_has_come(root, ann):
    carry_out(answer())
    VacationReply.objects.update(until=timezone.now() - HOUR)
    carry_out(answer())
    assert len(made()) == 2


def test_an_answer_with_no_time_between_is_still_sent_once_for_a_delivery(root, ann):
    recipient = carry_out(answer(seconds=0))
    carry_out(answer(seconds=0), recipient)
    assert len(made()) == 1
    carry_out(answer(seconds=0))
    assert len(made()) == 2


def test_a_notice_is_queued_once(root, ann):
    todo = FollowUp(ANN, notices=(Notice(FRIEND, 3, b"\r\n"), Notice(FRIEND, 4, b"\r\n")))
    recipient = carry_out(todo)
    carry_out(todo, recipient)
    assert len(made()) == 2


def test_a_key_that_was_seen_is_known_to_others_only(root, ann):
    now = timezone.now()
    recipient = carry_out(FollowUp(ANN, seen=(("key", 60), ("key", 60))))
    assert mailbox_memory.has_seen(ann.pk, "key", 0, now)
    assert not mailbox_memory.has_seen(ann.pk, "key", recipient.id, now)
    assert not mailbox_memory.has_seen(ann.pk, "other", 0, now)
    assert not mailbox_memory.has_seen(ann.pk, "key", 0, now + HOUR)


def test_a_mailbox_that_is_gone_needs_nothing(root, db):
    carry_out(answer())
    assert not made()


def test_what_is_remembered_is_swept(root, ann):
    deliver_with_hit = 'require "fileinto"; fileinto "A";'
    script(ann, deliver_with_hit)
    deliver()
    carry_out(answer())
    carry_out(FollowUp(ANN, seen=(("key", 60),)))
    old = timezone.now() - timedelta(days=31)
    RuleHit.objects.update(at=old)
    VacationReply.objects.update(until=old)
    SeenKey.objects.update(expires_at=old)
    retention.sweep(runtime.directory().settings)
    assert not RuleHit.objects.exists()
    assert not VacationReply.objects.exists()
    assert not SeenKey.objects.exists()


def test_an_address_is_not_asked_over_and_over(root, ann):
    asked: list[str] = []

    def ask(address: str) -> bool:
        return forward_confirmation.ask(
            ann,
            address,
            hostname="mail.example.test",
            enqueue=lambda envelope, content, origin: asked.append(origin),
        )

    assert ask(FRIEND)
    with pytest.raises(forward_confirmation.CannotAsk):
        ask(FRIEND.upper())
    for number in range(forward_confirmation.MAX_WAITING - 1):
        ask(f"f{number}@far.example")
    with pytest.raises(forward_confirmation.CannotAsk):
        ask("one-more@far.example")
    ForwardConfirmation.objects.update(confirmed_at=timezone.now())
    assert not ask(FRIEND)
    forward_confirmation.withdraw(ann, FRIEND)
    assert not forward_confirmation.is_confirmed(ann, FRIEND)


def test_a_token_that_is_old_agrees_to_nothing(root, ann):
    links: list[bytes] = []
    forward_confirmation.ask(
        ann,
        FRIEND,
        hostname="mail.example.test",
        enqueue=lambda envelope, content, origin: links.append(content),
    )
    token = links[0].replace(b"=\r\n", b"").decode().partition("/mail/confirm/")[2].split()[0]
    ForwardConfirmation.objects.update(asked_at=timezone.now() - timedelta(days=15))
    assert forward_confirmation.asked(token) is None
    assert forward_confirmation.confirm(token) is None
