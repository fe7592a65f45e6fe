"""Scripts with extensions, from the queue to the files and the answers."""

from mta import mailbox_scripts
from mta.models import Content
from tests.test_mailbox_delivery import (
    FRIEND,
    LETTER,
    again,
    ann,
    deliver,
    files,
    letters,
    made,
    root,
    run,
    script,
)

__all__ = ["ann", "root"]


def test_vacation(root, ann):
    script(ann, 'require "vacation"; vacation :days 7 :subject "Away" "I am away.";')
    recipient = deliver(reverse_path=FRIEND)
    again(recipient)
    deliver(reverse_path=FRIEND)
    (reply,) = made()
    assert (reply.reverse_path, reply.subject) == ("", "Away")
    assert reply.recipient_set.get().address == FRIEND
    assert b"Auto-Submitted: auto-replied" in bytes(Content.objects.get(message=reply).data)
    assert len(letters(root)) == 2
    deliver(reverse_path="")
    assert len(made()) == 1


def test_flags(root, ann):
    script(ann, 'require "imap4flags"; addflag "\\\\Seen"; keep;')
    deliver()
    (file,) = files(root)
    assert (file.parent.name, file.name.partition(":")[2]) == ("cur", "2,S")


def test_a_repeated_message_is_dropped_but_not_a_repeated_delivery(root, ann):
    content = LETTER.replace(b"Subject", b"Message-ID: <1@x>\r\nSubject")
    script(ann, 'require "duplicate"; if duplicate { discard; }')
    recipient = deliver(content)
    again(recipient)
    assert recipient.last_reply == "250 2.0.0 delivered to example.com/ann"
    assert deliver(content).last_reply.startswith("250 2.0.0 discarded by rule")
    assert len(files(root)) == 1


def test_edited_headers_stay_and_go_on(root, ann):
    script(
        ann,
        'require ["editheader", "copy"];\n'
        'deleteheader "Subject"; addheader "Subject" "edited"; redirect :copy "bob@example.com";',
    )
    deliver()
    run()
    for name in ("ann", "bob"):
        (file,) = files(root, name=name)
        assert b"Subject: edited\n" in file.read_bytes()
        assert b"dev news" not in file.read_bytes()


def test_a_notice(root, ann):
    script(
        ann,
        'require "enotify"; notify :message "mail!" "mailto:phone@far.example";',
    )
    again(deliver())
    (notice,) = made()
    assert notice.recipient_set.get().address == "phone@far.example"


def test_included_scripts(root, ann):
    mailbox_scripts.save(ann, "part", 'require "fileinto"; fileinto "A";', saved_by="test")
    script(ann, 'require "include"; include "part";')
    deliver()
    assert len(files(root, ".A")) == 1


def test_a_folder_that_is_there(root, ann):
    script(
        ann,
        'require ["mailbox", "fileinto"];\n'
        'if mailboxexists "A" { fileinto "A/b"; } else { fileinto "A"; }',
    )
    deliver()
    deliver()
    assert (len(files(root, ".A")), len(files(root, ".A.b"))) == (1, 1)
