"""Who may see the console: nobody without signing in, and nobody without the right."""

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from mta.models import Domain
from tests.queue.rows import make_message

pytestmark = pytest.mark.django_db

PAGES = [
    "/console/",
    "/console/find/",
    "/console/queue/",
    "/console/refusals/",
    "/console/refusals/1/",
    "/console/messages/0000000000000/",
    "/console/messages/0000000000000/source/",
    "/console/changes/1/",
    "/console/jobs/x/",
    "/console/mta/domain/",
    "/console/mta/mailbox/add/",
    "/console/mta/settings/",
    "/console/auth/user/",
]
POSTS = ["/console/queue/confirm/", "/console/queue/apply/", "/console/domains/1/check-dns/"]


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_is_sent_to_the_sign_in_page(client, path):
    response = client.get(path)
    assert response.status_code == 302
    assert response.url.startswith("/console/login/?next=")


@pytest.mark.parametrize("path", POSTS)
def test_a_stranger_cannot_act(client, path):
    assert client.post(path, {"verb": "cancel", "all": "1"}).status_code == 302


@pytest.mark.parametrize("path", ["/console/queue/", "/console/find/", "/console/refusals/"])
def test_staff_without_the_right_are_refused(client, django_user_model, path):
    client.force_login(django_user_model.objects.create_user("intern", is_staff=True))
    assert client.get(path).status_code == 403


def test_the_root_and_the_old_address_lead_to_the_console(client):
    assert client.get("/").url == "/console/"
    assert client.get("/admin/mta/domain/?q=x").url == "/console/mta/domain/?q=x"


def test_a_form_from_elsewhere_changes_nothing(admin_user):
    message = make_message("bob@example.test")
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    order = {"verb": "hold", "message": message.queue_id}
    assert client.post("/console/queue/apply/", order).status_code == 403
    assert message.recipient_set.get().state == "queued"


def test_only_superusers_read_message_sources(client, django_user_model, browser):
    message = make_message(content=b"Subject: secret plan\r\n\r\nthe plan\r\n")
    reader = django_user_model.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(*_permission("view_message"))
    client.force_login(reader)
    assert client.get(f"/console/messages/{message.queue_id}/").status_code == 200
    assert client.get(f"/console/messages/{message.queue_id}/source/").status_code == 403
    assert "the plan" in browser.get(f"/console/messages/{message.queue_id}/source/").text


def test_only_superusers_make_administrators(client, django_user_model):
    keeper = django_user_model.objects.create_user("keeper", is_staff=True)
    keeper.user_permissions.add(*_permission("change_user"), *_permission("add_user"))
    client.force_login(keeper)
    assert client.get("/console/auth/user/").status_code == 403
    assert client.get("/console/auth/user/add/").status_code == 403


def test_the_page_of_an_administrator_shows_no_part_of_the_password_hash(browser, admin_user):
    page = browser.get(f"/console/auth/user/{admin_user.pk}/change/").text
    assert "a password is set" in page
    assert "pbkdf2" not in page


def test_an_administrator_is_added_and_signs_in(browser, client, django_user_model):
    form = {"username": "alice", "usable_password": "true"}
    form |= {"password1": "a long password", "password2": "a long password"}
    browser.post("/console/auth/user/add/", form)
    django_user_model.objects.filter(username="alice").update(is_staff=True)
    sign_in = {"username": "alice", "password": "a long password", "next": "/console/"}
    assert client.post("/console/login/", sign_in).url == "/console/"


def test_every_page_forbids_foreign_and_inline_scripts(browser):
    Domain.objects.create(name="example.test")
    for path in ("/console/", "/console/queue/", "/console/mta/domain/", "/healthz"):
        policy = browser.get(path).headers["Content-Security-Policy"]
        scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
        assert "'self'" in scripts
        assert "unsafe-inline" not in scripts
        assert "default-src 'none'" in policy


def _permission(codename):
    return Permission.objects.filter(codename=codename)
