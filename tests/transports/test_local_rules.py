"""The local transport and the rules of a mailbox: folders, flags, copies, and repetition."""

import dataclasses
from pathlib import Path

import pytest

from mta.protocol.mailbox_plan import Copy, FollowUp, Incoming, MailboxPlan
from mta.transports import local
from mta.transports.base import DeliveryContext, DeliveryRequest, Outcome, QueuedMessage, Result
from tests.transports.contract import CONTENT, context, message
from tests.transports.test_local import ANN, again, deliver, files, with_quota


class Rules:
    """Rules that say the same of every message, and remember what they were asked."""

    def __init__(self, plan: MailboxPlan) -> None:
        self._plan = plan
        self.asked: list[Incoming] = []

    def plan(self, incoming: Incoming) -> MailboxPlan:
        self.asked.append(incoming)
        return self._plan


def ruled(root: Path, *copies: Copy, **fields) -> DeliveryContext:
    plan = MailboxPlan(copies, follow_up=FollowUp(ANN), **fields)
    rules = Rules(plan)
    return dataclasses.replace(
        context(root), rules=lambda address: rules if address == ANN else None
    )


def names(root: Path) -> list[str]:
    """Every file of the mailbox as PLACE/NAME, without what tells deliveries apart."""
    home = root / "example.com" / "ann" / "Maildir"
    found = (path for place in ("new", "cur") for path in home.rglob(f"{place}/*"))
    return sorted(f"{path.parent.relative_to(home)}{path.name.partition(':')[2]}" for path in found)


def text(outcomes: list[Outcome]) -> str:
    (outcome,) = outcomes
    assert outcome.result is Result.SENT
    return outcome.reply.text


def test_a_folder_is_made_as_maildir_wants_it(tmp_path):
    outcomes = deliver(ruled(tmp_path, Copy("Lists/dev")), message(1, [ANN]))
    assert text(outcomes) == "delivered to example.com/ann folder Lists/dev"
    folder = tmp_path / "example.com" / "ann" / "Maildir" / ".Lists.dev"
    assert sorted(path.name for path in folder.iterdir()) == ["cur", "maildirfolder", "new", "tmp"]
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir() if path.is_dir()} == {0o700}
    assert names(tmp_path) == [".Lists.dev/new"]


@pytest.mark.parametrize(
    ("folder", "directory"),
    [
        ("INBOX", "new"),
        ("inbox.Work", ".Work/new"),
        ("Work.Old", ".Work.Old/new"),
        ("Entwürfe", ".Entw&APw-rfe/new"),
        ("R&D", ".R&-D/new"),
        ("日本語", ".&ZeVnLIqe-/new"),
    ],
)
def test_the_name_of_a_folder(tmp_path, folder, directory):
    deliver(ruled(tmp_path, Copy(folder)), message(1, [ANN]))
    assert names(tmp_path) == [directory]


@pytest.mark.parametrize("folder", ["a//b", "../../x", "/", "a\x00b", "a\nb", "x" * 300, "a/"])
def test_what_cannot_be_a_folder_is_kept_in_the_inbox(tmp_path, folder):
    (outcome,) = deliver(ruled(tmp_path, Copy(folder)), message(1, [ANN]))
    assert names(tmp_path) == ["new"]
    assert outcome.follow_up is not None
    ((about, sentence),) = outcome.follow_up.troubles
    assert about.startswith("folder")
    assert sentence


def test_flags_are_in_the_name(tmp_path):
    flags = ("\\Seen", "\\flagged", "\\Answered", "$work", "\\Draft")
    deliver(ruled(tmp_path, Copy("", flags), Copy("Box", ("$work",))), message(1, [ANN]))
    assert names(tmp_path) == [".Box/new", "cur2,DFRS"]


def test_a_copy_for_each_folder_and_one_for_each(tmp_path):
    copies = (Copy(), Copy("A"), Copy("INBOX", ("\\Seen",)), Copy("A"))
    outcomes = deliver(ruled(tmp_path, *copies), message(1, [ANN]))
    assert names(tmp_path) == [".A/new", "cur2,S"]
    assert outcomes[0].follow_up == FollowUp(ANN)
    assert text(outcomes) == "delivered to example.com/ann, delivered to example.com/ann folder A"


def test_a_repeated_delivery_finds_each_of_its_files(tmp_path):
    rules, queued = ruled(tmp_path, Copy(), Copy("A", ("\\Seen",)), Copy("B")), message(1, [ANN])
    deliver(rules, queued)
    before = names(tmp_path)
    box = tmp_path / "example.com" / "ann" / "Maildir" / ".B"
    (file,) = (box / "new").iterdir()
    file.rename(box / "cur" / f"{file.name}:2,RS")
    deliver(rules, again(queued))
    assert names(tmp_path) == [each.replace(".B/new", ".B/cur2,RS") for each in before]
    # One of them is gone, as when the worker died between two of them.
    (file,) = files(tmp_path)
    file.unlink()
    deliver(rules, again(queued))
    assert len(files(tmp_path)) == 1
    assert len(names(tmp_path)) == 3


def test_discarded(tmp_path):
    outcomes = deliver(ruled(tmp_path, discarded_by="Spam"), message(1, [ANN]))
    assert text(outcomes) == "discarded by rule Spam"
    assert names(tmp_path) == []


def test_forwarded_with_what_a_rule_has_edited(tmp_path):
    edited = b"Subject: [x] y\r\n\r\nz\r\n"
    rules = ruled(tmp_path, Copy(), forwards=("bob@example.org",), content=edited)
    (outcome,) = deliver(rules, message(1, [ANN]))
    assert outcome.reply.text == "delivered to example.com/ann, forwarded to bob@example.org"
    assert (outcome.forwards, outcome.content) == (("bob@example.org",), edited)
    (file,) = files(tmp_path)
    assert file.read_bytes().endswith(b"Delivered-To: ann@example.com\nSubject: [x] y\n\nz\n")


def test_refused(tmp_path):
    (outcome,) = deliver(ruled(tmp_path, refusal="not for me"), message(1, [ANN]))
    assert (outcome.result, str(outcome.reply)) == (Result.BOUNCED, "550 5.7.1 not for me")
    assert names(tmp_path) == []


def test_what_others_get_does_not_change(tmp_path):
    rules = ruled(tmp_path, Copy("A"), content=b"Subject: edited\r\n\r\n")
    deliver(rules, message(1, [ANN, "bob@example.com"]))
    (file,) = files(tmp_path, mailbox="example.com/bob")
    assert file.read_bytes().endswith(CONTENT.replace(b"\r\n", b"\n"))


def test_a_loop_is_found_before_any_rule(tmp_path):
    plan = Rules(MailboxPlan())
    looping = b"Delivered-To: ann@example.com\r\n\r\n"
    rules = dataclasses.replace(context(tmp_path, {1: looping}), rules=lambda address: plan)
    (outcome,) = deliver(rules, message(1, [ANN]))
    assert outcome.reply.status == "5.4.6"
    assert plan.asked == []


def test_rules_know_what_folders_there_are(tmp_path):
    plan = Rules(MailboxPlan())
    deliver(ruled(tmp_path, Copy("A/b")), message(1, [ANN]))
    deliver(dataclasses.replace(context(tmp_path), rules=lambda address: plan), message(2, [ANN]))
    has_folder = plan.asked[0].has_folder
    assert [has_folder(each) for each in ("A/b", "INBOX", "B", "..")] == [True, True, False, False]


def test_all_copies_count_for_the_quota_but_trash_does_not(tmp_path):
    rules = with_quota(ruled(tmp_path, Copy(), Copy("A"), Copy("Trash")), 10_000)
    deliver(rules, message(1, [ANN]))
    written = (tmp_path / "example.com" / "ann" / "Maildir" / "maildirsize").read_text().split("\n")
    size = files(tmp_path)[0].stat().st_size
    assert [line.split() for line in written[1:-1]] == [["0", "0"], [str(2 * size), "2"]]
    assert names(tmp_path) == [".A/new", ".Trash/new", "new"]


def test_a_full_mailbox_gets_no_part_of_it(tmp_path):
    rules = with_quota(ruled(tmp_path, Copy(), Copy("A")), 150)
    (outcome,) = deliver(rules, message(1, [ANN]))
    assert (outcome.result, outcome.reply.status) == (Result.DEFERRED, "4.2.2")
    assert names(tmp_path) == []
    assert list((tmp_path / "example.com" / "ann" / "Maildir").rglob("tmp/*")) == []


def test_a_folder_that_breaks_under_way_defers_once(tmp_path):
    rules = ruled(tmp_path, Copy(), Copy("A"))
    deliver(rules, message(1, [ANN]))
    new = tmp_path / "example.com" / "ann" / "Maildir" / ".A" / "new"
    for file in new.iterdir():
        file.unlink()
    new.rmdir()
    queued: QueuedMessage = message(2, [ANN])
    request = DeliveryRequest("local", "", (queued,))
    (outcome,) = local.Local().deliver(request, rules)
    assert outcome.result is Result.DEFERRED
    new.mkdir()
    assert text(deliver(rules, again(queued))).startswith("delivered to")
    assert names(tmp_path) == [".A/new", "new", "new"]
