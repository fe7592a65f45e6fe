"""Who is forwarded to must agree; rules show what they did."""

import re

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from mta.models import Content, ForwardConfirmation, RuleHit

pytestmark = pytest.mark.django_db

SCRIPT = 'require "copy";\n# rule:[Out]\nif true {\n    redirect :copy "me@elsewhere.example";\n}\n'


def link_sent():
    content = bytes(Content.objects.latest("message_id").data).decode()
    return re.search(r"https?://([^/]+)(/mail/confirm/\S+)", content)


def test_who_is_asked_agrees_with_a_button(owner, script):
    script(SCRIPT)
    assert "has not agreed yet" in owner.get("/mail/rules/").text
    page = owner.post("/mail/rules/ask/", {"address": "me@elsewhere.example"}, follow=True)
    assert "has been asked" in page.text
    link = link_sent()
    assert link[1] == settings.ENVIRONMENT.hostname
    stranger = Client()
    assert "bob@example.test" in stranger.get(link[2]).text
    assert ForwardConfirmation.objects.get().confirmed_at is None
    assert "You have agreed" in stranger.post(link[2]).text
    assert "has not agreed yet" not in owner.get("/mail/rules/").text


def test_nobody_else_is_asked(owner, script):
    script(SCRIPT)
    page = owner.post("/mail/rules/ask/", {"address": "victim@elsewhere.example"})
    assert page.status_code == 404


@pytest.mark.parametrize("token", ["x", "%00", "a" * 2000])
def test_a_link_that_is_none(db, token):
    assert Client().get(f"/mail/confirm/{token}").status_code == 404
    assert Client().post(f"/mail/confirm/{token}").status_code == 404


def test_a_rule_shows_its_hits(owner, bob, script):
    script(SCRIPT)
    for number in range(2):
        RuleHit.objects.create(
            mailbox=bob,
            rule="Out",
            message_id=7,
            recipient="bob@example.test",
            recipient_id=9,
            line=3 + number,
            what="redirect",
            at=timezone.now(),
        )
    assert "1 message in 30 days" in owner.get("/mail/rules/").text
    assert "redirect" in owner.get("/mail/rules/hits/?rule=Out").text
