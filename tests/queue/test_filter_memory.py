"""What site filters remember is forgotten when it is of no more use."""

from datetime import timedelta

import pytest
from django.utils import timezone

from mta.models import SenderVerification, SendingRate, Settings, SlewSighting
from mta.protocol.reply import Reply
from mta.protocol.sender_check import SenderWord, Standing
from mta.queue import verifications
from mta.queue.retention import sweep

pytestmark = pytest.mark.django_db


def test_old_memories_go_and_young_ones_stay():
    now = timezone.now()
    for age in (timedelta(days=400), timedelta(0)):
        SlewSighting.objects.create(
            filter="dups", at=now - age, message_id=age.days, top=b"a", bottom=b"b"
        )
        SendingRate.objects.create(
            filter="rate", sender="ann", begins=now - age + timedelta(minutes=1), recipients=1
        )
    good = SenderWord(Standing.GOOD, Reply(250, "2.1.5", "ok"), "mx.example")
    verifications.remember("ann@example.org", good, 60)
    verifications.remember("bob@example.org", good, -1)

    swept = sweep(Settings())

    assert (swept["slews"], swept["rates"], swept["verifications"]) == (1, 1, 1)
    assert SlewSighting.objects.get().message_id == 0
    assert SendingRate.objects.count() == 1
    assert SenderVerification.objects.get().key == "ann@example.org"


def test_what_hosts_say_is_remembered_whatever_it_is():
    strange = Reply(550, "5.1.1", "no\0such \ud800 user\n" + "x" * 5000)
    verifications.remember("ann@\ud800", SenderWord(Standing.REFUSED, strange, "mx\0"), 60)
    known = verifications.known("ann@\ud800")
    assert known.remembered
    assert known.reply.text.startswith("nosuch ? user\nxxx")
    assert verifications.known("bob@example.org") is None
