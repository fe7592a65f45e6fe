"""What is refused at the end of DATA is kept when that is wanted, with its envelope."""

from datetime import timedelta

import pytest

from mta.models import Mailbox, Refusal, RefusedContent, SiteFilter
from tests.support.waiting import eventually

LOOPING = b"Received: by x\r\n" * 120 + b"Subject: round\r\n\r\nand round\r\n"
BIG = b"Subject: big\r\n\r\n" + b"x" * 60 + b"\r\n" + b"y" * 60 + b"\r\n"


@pytest.fixture
def keep(change):
    def keep(of="content", hours=1, **more):
        change(keep_refused=timedelta(hours=hours), keep_refused_of=of, **more)

    return keep


def refused(ingress, count):
    """The refusals, once all is written that goes with them."""
    assert eventually(lambda: Refusal.objects.count() == count)
    ingress.run(ingress.house.committer.drain())
    return list(Refusal.objects.order_by("id"))


def test_a_refused_content_is_there_with_its_envelope(ingress, keep):
    keep()
    with ingress.connect() as client:
        assert client.mail("bob@example.test", "ann@example.test", content=LOOPING)[0] == "5"
    (refusal,) = refused(ingress, 1)
    kept = RefusedContent.objects.get(pk=refusal.content_id)
    assert bytes(kept.content).endswith(LOOPING)
    assert bytes(kept.content).startswith(b"Received: from client.example.org")
    assert kept.size == len(kept.content)
    assert kept.envelope["reverse_path"] == "a@b.example"
    assert [each["address"] for each in kept.envelope["recipients"]] == [
        "bob@example.test",
        "ann@example.test",
    ]
    assert kept.expires_at - refusal.at > timedelta(minutes=59)


def test_recipients_who_refuse_one_by_one_share_it(ingress, keep):
    keep()
    Mailbox.objects.filter(local_part__in=("bob", "ann")).update(sizelimit=50)
    with ingress.connect() as client:
        assert client.mail("bob@example.test", "ann@example.test", content=BIG)[0] == "5"
    refusals = refused(ingress, 2)
    assert len({each.content_id for each in refusals}) == 1
    assert b"y" * 60 in bytes(RefusedContent.objects.get().content)


@pytest.mark.parametrize("wanted", [{"hours": 0}, {"of": "filters"}, {"keep_refused_octets": 100}])
def test_when_it_is_not_wanted_nothing_is_kept(ingress, keep, wanted):
    keep(**wanted)
    with ingress.connect() as client:
        client.mail("bob@example.test", content=LOOPING)
    (refusal,) = refused(ingress, 1)
    assert refusal.content_id is None
    assert not RefusedContent.objects.exists()


def test_what_is_refused_before_has_no_content(ingress, keep):
    keep()
    with ingress.connect() as client:
        client.mail("nobody@example.test")
    assert refused(ingress, 1)[0].content_id is None


def test_the_oldest_goes_when_it_is_too_much(ingress, keep):
    keep(keep_refused_octets=3 * len(LOOPING))
    with ingress.connect() as client:
        for _ in range(4):
            client.mail("bob@example.test", content=LOOPING)
    refusals = refused(ingress, 4)
    kept = set(RefusedContent.objects.values_list("pk", flat=True))
    assert kept == {each.content_id for each in refusals[-2:]}


def test_what_a_site_filter_refuses_is_kept_by_default(ingress, change):
    change(keep_refused=timedelta(hours=1))
    SiteFilter.objects.create(
        name="words",
        kind="sieve",
        state="enforce",
        text='require "reject"; if header :contains "subject" "offer" { reject "no offers"; }',
    )
    with ingress.connect() as client:
        content = b"Subject: an offer\r\n\r\nbuy\r\n"
        assert "no offers" in client.mail("bob@example.test", content=content)
    (refusal,) = refused(ingress, 1)
    assert refusal.rule == "site_filter:words"
    assert b"an offer" in bytes(RefusedContent.objects.get(pk=refusal.content_id).content)
