"""Refused mail whose content is kept: reading it, and accepting it after all."""

import logging
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from mta import runtime
from mta.models import Domain, Mailbox, Message, Refusal, RefusedContent

CONTENT = b"Subject: <script>alert(1)</script>\r\nX-Long: a\r\n b\r\n\r\nthe secret body\r\n"


@pytest.fixture
def kept(refusal) -> Refusal:
    runtime.directory.cache_clear()
    here = Domain.objects.create(name="example.test")
    Mailbox.objects.create(domain=here, local_part="bob")
    RefusedContent.objects.create(
        id=77,
        expires_at=timezone.now() + timedelta(hours=1),
        size=len(CONTENT),
        content=CONTENT,
        envelope={
            "reverse_path": "a@b.example",
            "recipients": [{"address": "bob@example.test"}],
            "source": "esmtp",
        },
    )
    refusal.stage, refusal.rule, refusal.content_id = "content", "site_filter:words", 77
    refusal.save()
    return refusal


def test_the_headers_are_shown_and_the_body_is_not(browser, kept):
    page = browser.get(f"/console/refusals/{kept.pk}/").text
    assert "&lt;script&gt;alert(1)" in page
    assert "a b" in page
    assert "the secret body" not in page
    assert "Accept after all" in page


def test_the_source_is_for_superusers_and_on_record(browser, kept, caplog):
    with caplog.at_level(logging.INFO, "mta.maillog"):
        assert "the secret body" in browser.get(f"/console/refusals/{kept.pk}/source/").text
    assert f'what="refusal {kept.pk}"' in caplog.text


def test_accepting_asks_first_and_then_queues(browser, kept):
    url = f"/console/refusals/{kept.pk}/accept/"
    assert "bob@example.test" in browser.get(url).text
    assert not Message.objects.exists()
    done = browser.post(url, follow=True)
    message = Message.objects.get()
    assert done.redirect_chain[-1][0] == f"/console/messages/{message.queue_id}/"
    assert "although it was refused, by root" in done.text
    page = browser.get(f"/console/refusals/{kept.pk}/").text
    assert "root accepted it after all" in page
    assert message.queue_id in page
    assert browser.post(url, follow=True).status_code == 200
    assert Message.objects.count() == 1


def test_what_is_gone_cannot_be_accepted(browser, kept):
    url = f"/console/refusals/{kept.pk}/"
    RefusedContent.objects.all().delete()
    assert "not kept any more" in browser.get(url).text
    assert browser.get(f"{url}accept/").status_code == 404
    assert browser.get(f"{url}source/").status_code == 404
    assert "not kept, or not any more" in browser.post(f"{url}accept/", follow=True).text


def test_who_may_only_look_may_not_accept(kept, django_user_model):
    user = django_user_model.objects.create_user("eve", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_refusal"))
    client = Client()
    client.force_login(user)
    url = f"/console/refusals/{kept.pk}/"
    assert "Accept after all" not in client.get(url).text
    assert client.post(f"{url}accept/").status_code == 403
    assert client.get(f"{url}source/").status_code == 403


@pytest.mark.parametrize("query", ["filter=words", "text=nobody", "mode=kept"])
def test_refusals_are_found_by_it(browser, kept, query):
    assert f"/console/refusals/{kept.pk}/" in browser.get(f"/console/refusals/?{query}").text


@pytest.mark.parametrize("query", ["filter=others", "text=somebody"])
def test_and_by_other_words_not(browser, kept, query):
    assert "No refusal matches" in browser.get(f"/console/refusals/?{query}").text
