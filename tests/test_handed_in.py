"""Site filters and mail without a session: of programs on this host, and by UUCP."""

import io
import os
import pwd

import pytest

from mta import runtime
from mta.management import local_mail
from mta.management.local_mail import Caller, Result
from mta.management.uucp_mail import take_rmail
from mta.models import Content, Domain, Event, Mailbox, Message, Recipient, Refusal, SiteFilter

pytestmark = pytest.mark.django_db(transaction=True)

USER = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
MESSAGE = b"Subject: hello\nFrom: ann@example.test\n\nworld\n"
REJECT = 'require "reject"; reject "no, thank you";'
LATER = 'require "ereject"; ereject "451 4.7.1 come again";'
NOT_ANN = 'require ["reject", "envelope"]; if envelope :is "to" "ann@example.test" {reject "no";}'
BOTH = ("ann@example.test", "bob@example.test")


@pytest.fixture(autouse=True)
def town(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime.directory.cache_clear()
    monkeypatch.setattr(runtime, "nudge", lambda names=None: None)
    here = Domain.objects.create(name="example.test")
    for name in ("ann", "bob"):
        Mailbox.objects.create(domain=here, local_part=name)


def by_sendmail(*recipients: str) -> Result:
    caller = Caller("carl", uid=1234)
    return local_mail.take(recipients or BOTH, caller, io.BytesIO(MESSAGE))


def by_rmail(*recipients: str) -> Result:
    caller = Caller("uucp", variables={"UU_MACHINE": "far"})
    return take_rmail(["-f", "joe", *(recipients or BOTH)], caller, io.BytesIO(MESSAGE))


def row(text: str = REJECT, **values: object) -> None:
    filled = {"kind": "sieve", "state": "enforce", "esmtp": False, "text": text, **values}
    SiteFilter.objects.create(name="test", **filled)


@pytest.mark.parametrize(("send", "source"), [(by_sendmail, "local"), (by_rmail, "uucp")])
def test_a_refusal_is_the_program_s_error(send, source):
    row(**{source: True})
    assert send() == Result(67, complaint="550 5.7.1 no, thank you")
    assert not Message.objects.exists()
    refusal = Refusal.objects.get()
    assert (refusal.rule, refusal.stage, refusal.client_ip) == ("site_filter:test", "content", "")


@pytest.mark.parametrize(("send", "source"), [(by_sendmail, "local"), (by_rmail, "uucp")])
def test_a_refusal_for_now_is_the_status_to_try_again(send, source):
    row(LATER, **{source: True})
    assert send() == Result(75, complaint="451 4.7.1 come again")


@pytest.mark.parametrize(("send", "other"), [(by_sendmail, "uucp"), (by_rmail, "local")])
def test_a_filter_for_another_source_is_not_asked(send, other):
    row(**{other: True}, submission=True)
    assert send().code == 0


def test_what_passes_has_the_filter_in_its_history():
    row("keep;", local=True)
    assert by_sendmail().code == 0
    (decision,) = Event.objects.get().data["decisions"]
    assert decision["steps"][0]["rule"] == "site_filter:test"


def test_what_only_logs_is_on_record():
    row(local=True, state="log")
    assert by_sendmail().code == 0
    assert (Refusal.objects.get().rule, Refusal.objects.get().enforced) == (
        "site_filter:test",
        False,
    )


def test_one_recipient_refused_alone_is_reported():
    row(NOT_ANN, local=True)
    assert by_sendmail().code == 0
    rows = Recipient.objects.values_list("address", "state", "report")
    assert set(rows) == {
        ("ann@example.test", "failed", "failed"),
        ("bob@example.test", "queued", ""),
    }


def test_what_is_discarded_is_finished():
    row("discard;", local=True)
    assert by_sendmail().code == 0
    assert set(Recipient.objects.values_list("state", flat=True)) == {"discarded"}
    assert Message.objects.get().pending == 0


def test_a_filter_in_trouble_makes_the_program_wait_or_is_skipped():
    row(kind="gone", local=True)
    assert by_sendmail().code == 75
    SiteFilter.objects.update(on_trouble="skip")
    assert by_sendmail().code == 0


def test_the_filter_reads_what_is_queued_and_who_hands_it_in():
    options = {"argv": ["/bin/sh", "-c", 'cat; echo "$LOCAL_UID $SOURCE"'], "user": USER}
    row(kind="command", text="", local=True, options=options)
    assert by_sendmail().code == 0
    (decision,) = Event.objects.get().data["decisions"]
    detail = decision["steps"][0]["detail"]
    received = bytes(Content.objects.get().data).split(b"\r\n")[0].decode()
    assert received[:20] in detail
    assert detail.endswith("world 1234 local")
