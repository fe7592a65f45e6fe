"""Rules tried on one message, and on all of them."""

import re

import django_rq
import pytest
from rq import SimpleWorker

from courierweb.portal import mail_files, replay
from mta import runtime
from mta.protocol import maildir
from tests.portal.test_rule_pages import new_rule

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def own_queue(settings):
    """A queue that no running worker looks at."""
    url = re.sub(r"db=\d+", "db=15", settings.RQ_QUEUES["default"]["URL"])
    settings.RQ_QUEUES = {"default": {"URL": url, "DEFAULT_TIMEOUT": 60}}


def token(bob, at=0):
    return mail_files.recent(runtime.mail_root(), bob, 50)[at].token


def test_each_test_says_what_it_compared(owner, bob, store, script):
    script('# rule:[Sales]\nif header :contains "subject" "sale" { discard; }\n')
    store("Summer sale")
    page = owner.get(f"/mail/rules/try/?message={token(bob)}").text
    assert "It would go to: <strong>thrown away</strong>" in page
    assert "Sales" in page
    assert "Summer sale" in page
    assert ">Yes<" in page


def test_a_pasted_message_is_tried_with_the_draft(owner):
    new_rule(owner, "try")
    page = owner.post(
        "/mail/rules/try/", {"draft": "1", "pasted": "From: a@b.example\r\nSubject: sale\r\n\r\nx"}
    )
    assert "It would go to: <strong>Lists/Ads</strong>" in page.text


@pytest.mark.parametrize("pasted", ["no header at all", "\x00\ufffd: ", ":\n" * 1000, "a" * 5000])
def test_garbage_is_only_a_message(owner, pasted):
    assert "It would go to" in owner.post("/mail/rules/try/", {"pasted": pasted}).text


@pytest.mark.parametrize("name", ["../../etc/passwd", "%2e%2e", "0" * 24, "x\x00"])
def test_only_messages_of_the_owner_can_be_named(owner, store, name):
    store()
    assert owner.get("/mail/rules/try/", {"message": name}).status_code == 404


def test_links_in_a_maildir_are_not_followed(owner, bob, maildir, tmp_path):
    (tmp_path / "secret").write_text("Subject: secret\n\n")
    (maildir / "new" / "1790000000.Qx.host,S=1").symlink_to(tmp_path / "secret")
    (tmp_path / "other" / "new").mkdir(parents=True)
    (tmp_path / "other" / "new" / "1790000001.Qy.host").write_text("Subject: secret\n\n")
    (maildir / ".Other").symlink_to(tmp_path / "other")
    assert mail_files.recent(runtime.mail_root(), bob, 50) == []


def test_a_rule_is_made_from_a_message(owner, bob, store):
    store(headers="List-Id: Some list <dev.lists.example.org>\n")
    store()
    from_sender = owner.get(f"/mail/rules/new/?message={token(bob)}").text
    assert "alice@example.org" in from_sender
    assert '"from.is" selected' in from_sender
    from_list = owner.get(f"/mail/rules/new/?message={token(bob, 1)}").text
    assert "dev.lists.example.org" in from_list
    assert '"list.contains" selected' in from_list


def test_folders_of_the_owner_are_offered(owner, store):
    store(folder=".Lists.Dev")
    assert '<option value="Lists/Dev">' in owner.get("/mail/rules/new/").text


@pytest.mark.parametrize("name", ["Lists/Dev", "Für später/ü", "A & B", "日本"])
def test_folders_have_the_names_that_rules_give_them(name):
    assert mail_files.folder_name(maildir.folder_directory(name)) == name


def test_a_folder_that_another_program_has_named_badly():
    assert mail_files.folder_name(".&b-") == "&b-"


def test_what_would_change_is_listed(bob, store):
    for number in range(9):
        store(f"Number {number}")
    store("Summer sale")
    draft = 'require "fileinto";\nif header :contains "subject" "sale" { fileinto "Ads"; }\n'
    result = replay.what_would_change(bob.pk, "keep;", draft)
    assert (result["examined"], result["changed"]) == (10, 1)
    (row,) = result["rows"]
    assert (row["subject"], row["old"], row["new"]) == ("Summer sale", "Inbox", "Ads")


def test_the_preview_asks_again_when_much_is_meant(owner, bob, store, text_now):
    store("sale")
    new_rule(owner, "preview")
    started = owner.get("/mail/rules/preview/?draft=1")["Location"]
    assert "Looking at" in owner.get(started).text
    job_id = started.rstrip("/").rpartition("/")[2]
    queue = django_rq.get_queue("default")
    SimpleWorker([queue], connection=queue.connection).work(burst=True, logging_level="WARNING")
    page = owner.get(started).text
    assert "1 of your newest 1 message would have gone elsewhere" in page
    assert "more than a fifth" in page
    form = {"job": job_id, "much": "ask"}
    owner.post("/mail/rules/preview/save/", form)
    assert text_now() is None
    owner.post("/mail/rules/preview/save/", form | {"sure": "on"})
    assert "Lists/Ads" in text_now()


def test_the_preview_of_others_is_not_there(owner, bob):
    assert owner.get("/mail/rules/preview/nonsense/").status_code == 404
    assert owner.get("/mail/rules/preview/")["Location"] == "/mail/rules/"
