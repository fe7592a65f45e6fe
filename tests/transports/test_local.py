"""The local transport: what lies in the Maildir, and what is reported, also when things break."""

import ctypes
import dataclasses
import errno
import os
import threading
from pathlib import Path

import pytest

from mta.protocol import maildirsize
from mta.transports import local, local_disk
from mta.transports.base import DeliveryContext, DeliveryRequest, Outcome, QueuedMessage, Result
from tests.transports.contract import CONTENT, Book, context, message

ANN = "ann@example.com"


def deliver(delivery_context: DeliveryContext, *messages: QueuedMessage) -> list[Outcome]:
    request = DeliveryRequest("local", "", messages)
    return list(local.Local().deliver(request, delivery_context))


def results(outcomes: list[Outcome]) -> dict[int, tuple[str, str]]:
    return {each.recipient_id: (each.result.value, each.reply.status) for each in outcomes}


def files(root: Path, folder: str = "new", mailbox: str = "example.com/ann") -> list[Path]:
    directory = root / mailbox / "Maildir" / folder
    return sorted(directory.iterdir()) if directory.exists() else []


def again(queued: QueuedMessage, attempt: int = 2) -> QueuedMessage:
    recipients = (dataclasses.replace(each, attempt=attempt) for each in queued.recipients)
    return dataclasses.replace(queued, recipients=tuple(recipients))


def with_quota(delivery_context: DeliveryContext, octets: int) -> DeliveryContext:
    return dataclasses.replace(delivery_context, quota=lambda address: octets)


def test_delivered_file(tmp_path):
    (outcome,) = deliver(context(tmp_path), message(1, [ANN]))
    (file,) = files(tmp_path)
    assert file.read_bytes() == (
        b"Return-Path: <sender@example.net>\nDelivered-To: ann@example.com\n"
        b"From: <a@example.org>\nSubject: contract\n\nHello\n"
    )
    size = file.stat().st_size
    assert file.name == f"1700000000.Q0000000000001R101.mail.example.test,S={size}"
    assert outcome.result is Result.SENT
    assert str(outcome.reply) == "250 2.0.0 delivered to example.com/ann"


def test_return_path_that_varies_with_the_recipient(tmp_path):
    queued = dataclasses.replace(message(1, [ANN, "bob+x@example.com"]), verp=True)
    deliver(context(tmp_path), queued)
    first_lines = [
        files(tmp_path, mailbox=f"example.com/{name}")[0].read_bytes().split(b"\n")[0]
        for name in ("ann", "bob+x")
    ]
    assert first_lines == [
        b"Return-Path: <sender-ann=example.com@example.net>",
        b"Return-Path: <sender-bob+2Bx=example.com@example.net>",
    ]


def test_null_return_path_never_varies(tmp_path):
    deliver(context(tmp_path), dataclasses.replace(message(1, [ANN]), reverse_path="", verp=True))
    assert files(tmp_path)[0].read_bytes().startswith(b"Return-Path: <>\n")


def test_maildir_is_private_and_complete(tmp_path):
    root = tmp_path / "not" / "there" / "yet"
    deliver(context(root), message(1, [ANN]))
    home = root / "example.com" / "ann"
    made = [home.parent, home, *(home / "Maildir" / name for name in ("", "tmp", "new", "cur"))]
    assert [directory.stat().st_mode & 0o777 for directory in made] == [0o700] * len(made)
    (file,) = files(root)
    assert file.stat().st_mode & 0o777 == 0o600
    assert files(root, "tmp") == []


def test_many_messages_and_recipients_in_one_request(tmp_path):
    messages = [message(n, [f"user{n % 7}@example.com", ANN]) for n in range(1, 251)]
    outcomes = deliver(context(tmp_path), *messages)
    assert len(outcomes) == len({each.recipient_id for each in outcomes}) == 500
    assert {each.result for each in outcomes} == {Result.SENT}
    assert len(files(tmp_path)) == 250


def test_null_sender_and_international_addresses(tmp_path):
    queued = dataclasses.replace(message(1, ["jörg@example.com"]), reverse_path="")
    assert results(deliver(context(tmp_path), queued)) == {101: ("sent", "2.0.0")}
    (file,) = files(tmp_path, mailbox="example.com/jörg")
    assert file.read_bytes().startswith(
        "Return-Path: <>\nDelivered-To: jörg@example.com\n".encode()
    )


def test_local_part_is_found_whatever_its_case(tmp_path):
    deliver(context(tmp_path), message(1, ["Ann@example.com"]))
    (file,) = files(tmp_path)
    assert b"Delivered-To: Ann@example.com\n" in file.read_bytes()


@pytest.mark.parametrize("content", [b"", b"\r\n", b"no header end", b"\x00\xff\r\n\r\n\n\r"])
def test_strange_content_is_kept(tmp_path, content):
    outcomes = deliver(context(tmp_path, {1: content}), message(1, [ANN], content))
    assert results(outcomes) == {101: ("sent", "2.0.0")}
    (file,) = files(tmp_path)
    assert file.read_bytes().split(b"\n", 2)[2] == content.replace(b"\r\n", b"\n")


def test_short_writes_are_continued(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "writev", lambda fd, parts: os.write(fd, b"".join(parts)[:50]))
    deliver(context(tmp_path), message(1, [ANN]))
    (file,) = files(tmp_path)
    assert file.read_bytes().endswith(b"ann@example.com\n" + CONTENT.replace(b"\r\n", b"\n"))


@pytest.mark.parametrize(
    "address",
    [
        "../../etc@example.com",
        "a/b@example.com",
        ".@example.com",
        "..@example.com",
        ".hidden@example.com",
        "nul\x00@example.com",
        "ann@..",
        "ann@../example.com",
        "@example.com",
        "ann",
    ],
)
def test_never_leaves_the_mail_root(tmp_path, address):
    root = tmp_path / "mail"
    outcomes = deliver(context(root), message(1, [address, ANN]))
    assert results(outcomes) == {101: ("bounced", "5.1.3"), 102: ("sent", "2.0.0")}
    assert [path.name for path in tmp_path.iterdir()] == ["mail"]
    assert len([path for path in root.rglob("*") if path.is_file()]) == 1


def test_hostname_cannot_break_the_file_name(tmp_path):
    delivery_context = dataclasses.replace(context(tmp_path), hostname="a/b:2,T")
    deliver(delivery_context, message(1, [ANN]))
    (file,) = files(tmp_path)
    assert r".a\057b\0722,T,S=" in file.name


# Repeated delivery


def test_repeated_delivery_finds_its_file(tmp_path):
    queued = message(1, [ANN])
    deliver(context(tmp_path), queued)
    (outcome,) = deliver(context(tmp_path), again(queued))
    assert outcome.result is Result.SENT
    assert outcome.reply.text == "already delivered to example.com/ann"
    assert len(files(tmp_path)) == 1


def test_repeated_delivery_finds_a_file_that_was_read_since(tmp_path):
    queued = message(1, [ANN])
    deliver(context(tmp_path), queued)
    (file,) = files(tmp_path)
    file.rename(file.parent.parent / "cur" / f"{file.name}:2,RS")
    renamed_host = dataclasses.replace(context(tmp_path), hostname="new.example.test")
    assert results(deliver(renamed_host, again(queued))) == {101: ("sent", "2.0.0")}
    assert files(tmp_path) == []
    assert len(files(tmp_path, "cur")) == 1


def test_repeated_delivery_clears_what_a_crash_has_left(tmp_path):
    deliver(context(tmp_path), message(1, [ANN]))
    queued = message(2, [ANN])
    leftover = (
        tmp_path / "example.com" / "ann" / "Maildir" / "tmp" / "1700000000.Q0000000000002R201.x"
    )
    other = leftover.with_name("1700000000.Q0000000000009R901.x")
    leftover.write_text("half a mess")
    other.write_text("of a worker that is alive")
    assert results(deliver(context(tmp_path), again(queued))) == {201: ("sent", "2.0.0")}
    assert files(tmp_path, "tmp") == [other]
    assert len(files(tmp_path)) == 2


def test_first_delivery_after_a_failed_attempt(tmp_path):
    queued = [again(message(1, [ANN])), message(2, [ANN])]
    assert len(deliver(context(tmp_path), *queued)) == 2
    assert len(files(tmp_path)) == 2


def test_lost_lease_makes_no_second_file(tmp_path):
    """Two workers that hold the same delivery at the same time leave one file."""
    queued = message(1, [ANN])
    both = threading.Barrier(2)

    def content(message_id: int) -> bytes:
        both.wait(timeout=30)
        return CONTENT

    shared = dataclasses.replace(context(tmp_path), content=content)
    reports: list[Outcome] = []
    workers = [
        threading.Thread(target=lambda: reports.extend(deliver(shared, queued))) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [each.result for each in reports] == [Result.SENT, Result.SENT]
    assert len(files(tmp_path)) == 1
    assert files(tmp_path, "tmp") == []


# Loops


@pytest.mark.parametrize(
    "field",
    [
        b"Delivered-To: ann@example.com",
        b"delivered-to:\tANN@Example.COM ",
        b"DELIVERED-TO:\r\n ann@example.com",
    ],
)
def test_mail_loop_is_broken(tmp_path, field):
    content = b"Received: x\r\n" + field + b"\r\nSubject: round\r\n\r\nagain\r\n"
    outcomes = deliver(context(tmp_path, {1: content}), message(1, [ANN, "bob@example.com"]))
    assert results(outcomes) == {101: ("bounced", "5.4.6"), 102: ("sent", "2.0.0")}
    assert outcomes[0].reply.code == 554


@pytest.mark.parametrize(
    "content",
    [
        b"Subject: x\r\n\r\nDelivered-To: ann@example.com\r\n",
        b"\r\nDelivered-To: ann@example.com\r\n\r\n",
        b"Delivered-To: joann@example.com\r\nX-Delivered-To: ann@example.com\r\n\r\n",
    ],
)
def test_no_loop_without_our_field_in_the_header(tmp_path, content):
    outcomes = deliver(context(tmp_path, {1: content}), message(1, [ANN]))
    assert results(outcomes) == {101: ("sent", "2.0.0")}


# Trouble with one recipient


def test_trouble_of_one_defers_only_that_one(tmp_path):
    (tmp_path / "example.com").mkdir()
    (tmp_path / "example.com" / "bob").write_text("a file where the home should be")
    outcomes = deliver(context(tmp_path), message(1, ["bob@example.com", ANN]))
    assert results(outcomes) == {101: ("deferred", "4.3.0"), 102: ("sent", "2.0.0")}
    assert "Not a directory" in outcomes[0].reply.text


@pytest.mark.parametrize(
    ("number", "code", "status"),
    [(errno.ENOSPC, 452, "4.3.1"), (errno.EDQUOT, 452, "4.2.2"), (errno.EIO, 451, "4.3.0")],
)
def test_disk_trouble_defers_and_leaves_nothing(tmp_path, monkeypatch, number, code, status):
    def fail(descriptor, parts):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "writev", fail)
    (outcome,) = deliver(context(tmp_path), message(1, [ANN]))
    assert outcome.result is Result.DEFERRED
    assert (outcome.reply.code, outcome.reply.status) == (code, status)
    assert files(tmp_path) == files(tmp_path, "tmp") == []


def test_rename_that_fails_defers_that_one(tmp_path):
    new = tmp_path / "example.com" / "ann" / "Maildir" / "new"
    deliver(context(tmp_path), message(1, [ANN]))
    for file in new.iterdir():
        file.unlink()
    new.rmdir()
    outcomes = deliver(context(tmp_path), message(2, [ANN, "bob@example.com"]))
    assert results(outcomes) == {201: ("deferred", "4.3.0"), 202: ("sent", "2.0.0")}
    assert files(tmp_path, "tmp") == []


def test_content_that_is_gone_defers_that_message(tmp_path):
    contents = {2: CONTENT}
    delivery_context = dataclasses.replace(context(tmp_path), content=lambda id: contents[id])
    outcomes = deliver(delivery_context, message(1, [ANN]), message(2, [ANN]))
    assert results(outcomes) == {101: ("deferred", "4.3.0"), 201: ("sent", "2.0.0")}


def test_database_trouble_leaves_no_half_group(tmp_path):
    def content(message_id: int) -> bytes:
        if message_id == 2:
            raise RuntimeError("the database is away")
        return CONTENT

    delivery_context = dataclasses.replace(context(tmp_path), content=content)
    with pytest.raises(RuntimeError):
        deliver(delivery_context, message(1, [ANN]), message(2, [ANN]))
    assert files(tmp_path) == files(tmp_path, "tmp") == []


# Trouble with the whole group


def test_lost_writes_defer_the_group(tmp_path, monkeypatch):
    def syncfs(descriptor: int) -> int:
        ctypes.set_errno(errno.EIO)
        return -1

    monkeypatch.setattr(local_disk, "_syncfs", syncfs)
    outcomes = deliver(context(tmp_path), message(1, [ANN, "bad/@example.com", "bob@example.com"]))
    assert results(outcomes) == {
        101: ("deferred", "4.3.0"),
        102: ("bounced", "5.1.3"),
        103: ("deferred", "4.3.0"),
    }
    assert files(tmp_path) == files(tmp_path, "tmp") == []


def test_system_without_syncfs_syncs_file_by_file(tmp_path, monkeypatch):
    synced: list[str] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    monkeypatch.setattr(local_disk, "_syncfs", None)
    monkeypatch.setattr(os, "fsync", record)
    people = [f"user{n}@example.com" for n in range(6)]
    outcomes = deliver(context(tmp_path), message(1, people))
    assert {each.result for each in outcomes} == {Result.SENT}
    for number in range(6):
        home = tmp_path / "example.com" / f"user{number}"
        (file,) = files(tmp_path, mailbox=f"example.com/user{number}")
        assert any(path.startswith(f"{home}/Maildir/tmp/") for path in synced)
        assert {f"{home}/Maildir/new", f"{home}/Maildir", str(home)} <= set(synced)
    assert {str(tmp_path), str(tmp_path / "example.com")} <= set(synced)


def test_name_that_may_be_lost_is_not_reported_as_delivered(tmp_path, monkeypatch):
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    deliver(context(tmp_path), message(1, [ANN]))
    queued = message(2, [ANN])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        assert results(deliver(context(tmp_path), queued)) == {201: ("deferred", "4.3.0")}
        assert results(deliver(context(tmp_path), again(queued))) == {201: ("deferred", "4.3.0")}
    assert results(deliver(context(tmp_path), again(queued))) == {201: ("sent", "2.0.0")}
    assert len(files(tmp_path)) == 2


def test_nothing_stays_open(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    deliver(context(tmp_path), message(1, [ANN, "bad/@example.com"]))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_stops_between_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(local, "MAX_GROUP", 2)
    reported: list[Outcome] = []
    ending = dataclasses.replace(context(tmp_path), stopping=lambda: len(reported) >= 2)
    request = DeliveryRequest("local", "", tuple(message(n, [ANN]) for n in range(1, 6)))
    for outcome in local.Local().deliver(request, ending):
        reported.append(outcome)
    assert [each.recipient_id for each in reported] == [101, 201]
    assert len(files(tmp_path)) == 2


# Quota


def test_full_mailbox_defers(tmp_path):
    delivery_context = with_quota(context(tmp_path), 150)
    outcomes = deliver(delivery_context, message(1, [ANN]), message(2, [ANN]), message(3, [ANN]))
    assert results(outcomes) == {
        101: ("sent", "2.0.0"),
        201: ("deferred", "4.2.2"),
        301: ("deferred", "4.2.2"),
    }
    assert {each.reply.code for each in outcomes} == {250, 452}


def test_what_is_too_big_for_a_mailbox_fails(tmp_path):
    limited = dataclasses.replace(context(tmp_path), sizelimit=lambda address: 10_000)
    large = dataclasses.replace(message(1, [ANN]), size=20_000)
    (outcome,) = deliver(limited, large)
    assert str(outcome.reply) == "552 5.3.4 the mailbox takes at most 10000 octets"
    assert outcome.result is Result.BOUNCED
    assert files(tmp_path) == []


def test_headers_that_came_on_the_way_do_not_count(tmp_path):
    limited = dataclasses.replace(context(tmp_path), sizelimit=lambda address: 10_000)
    (outcome,) = deliver(limited, dataclasses.replace(message(1, [ANN]), size=10_500))
    assert outcome.result is Result.SENT


def test_quota_may_be_used_to_the_last_octet(tmp_path):
    deliver(context(tmp_path), message(1, [ANN]))
    size = files(tmp_path)[0].stat().st_size
    assert results(deliver(with_quota(context(tmp_path), 3 * size - 1), message(2, [ANN]))) == {
        201: ("sent", "2.0.0")
    }
    outcomes = deliver(with_quota(context(tmp_path), 3 * size - 1), message(3, [ANN]))
    assert results(outcomes) == {301: ("deferred", "4.2.2")}
    outcomes = deliver(with_quota(context(tmp_path), 3 * size), message(3, [ANN]))
    assert results(outcomes) == {301: ("sent", "2.0.0")}


def test_quota_file_follows_the_deliveries(tmp_path):
    delivery_context = with_quota(context(tmp_path), 100_000)
    deliver(delivery_context, message(1, [ANN]), message(2, [ANN]))
    deliver(delivery_context, message(3, [ANN]))
    quota_file = tmp_path / "example.com" / "ann" / "Maildir" / "maildirsize"
    usage = maildirsize.parse(quota_file.read_bytes())
    assert usage is not None
    assert usage.quota == "100000S"
    assert (usage.octets, usage.messages) == maildirsize.count(str(quota_file.parent))


def test_deliveries_that_fail_do_not_count(tmp_path, monkeypatch):
    delivery_context = with_quota(context(tmp_path), 100_000)
    with monkeypatch.context() as patch:
        patch.setattr(local_disk, "_syncfs", None)

        def fail(descriptor: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(os, "fsync", fail)
        assert results(deliver(delivery_context, message(1, [ANN]))) == {101: ("deferred", "4.3.1")}
    quota_file = tmp_path / "example.com" / "ann" / "Maildir" / "maildirsize"
    usage = maildirsize.parse(quota_file.read_bytes())
    assert usage is not None
    assert (usage.octets, usage.messages) == (0, 0)


def test_claims_mailboxes_only():
    book = Book(mailboxes=[ANN])
    assert local.Local().claim(ANN, book) == ""
    assert local.Local().claim("nobody@example.com", book) is None
