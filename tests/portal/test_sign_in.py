"""Who gets in at /mail/, and for how long."""

import pytest
from django.test import Client
from django.utils import timezone

from courierweb.portal import session
from mta.models import PolicyChange, Refusal
from tests.portal.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def sign_in(client, password=PASSWORD, address="bob@example.test", **more):
    return client.post("/mail/sign-in/", {"address": address, "password": password}, **more)


def test_a_stranger_is_led_to_the_sign_in_and_back(bob, maildir):
    client = Client()
    page = client.get("/mail/rules/")
    assert page["Location"] == "/mail/sign-in/?next=%2Fmail%2Frules%2F"
    page = client.post(
        page["Location"],
        {"address": "BOB@example.test ", "password": PASSWORD, "next": "/mail/rules/"},
    )
    assert page["Location"] == "/mail/rules/"
    assert client.get("/mail/rules/").status_code == 200


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/mail/", "/console/"])
def test_nobody_is_led_elsewhere(bob, target):
    page = Client().post(
        "/mail/sign-in/",
        {"address": "bob@example.test", "password": PASSWORD, "next": target},
    )
    assert page["Location"] == "/mail/"


@pytest.mark.parametrize("address", ["bob@example.test", "nobody@example.test", "x", "\x00@y"])
def test_a_wrong_password_says_nothing_of_who_is_here(bob, address):
    page = sign_in(Client(), "wrong", address)
    assert page.status_code == 400
    if "\x00" not in address:
        assert "do not go together" in page.text


def test_failures_count_as_those_of_smtp_do(bob):
    sign_in(Client(), "wrong", REMOTE_ADDR="192.0.2.7")
    refusal = Refusal.objects.get()
    assert (refusal.client_ip, refusal.stage, refusal.rule) == ("192.0.2.7", "auth", "credentials")
    assert "wrong" not in str(refusal.trace) + str(refusal.session) + refusal.text


def test_who_guesses_must_wait(bob):
    client = Client()
    for _ in range(10):
        sign_in(client, "wrong", REMOTE_ADDR="127.0.0.1")
    page = sign_in(client, REMOTE_ADDR="127.0.0.1")
    assert "Wait a quarter of an hour" in page.text


def test_the_cookie_is_only_for_these_pages_and_lives_with_the_browser(bob):
    cookie = sign_in(Client()).cookies[session.COOKIE]
    assert (cookie["path"], cookie["max-age"], cookie["expires"]) == ("/mail/", "", "")
    assert cookie["httponly"]


def test_a_mailbox_that_is_switched_off_is_out_at_once(owner, bob):
    bob.enabled = False
    bob.save()
    assert owner.get("/mail/").status_code == 302
    assert sign_in(Client()).status_code == 400


def test_sign_out_ends_the_session_on_the_server(owner):
    stolen = owner.cookies[session.COOKIE].value
    owner.post("/mail/sign-out/")
    thief = Client()
    thief.cookies[session.COOKIE] = stolen
    assert thief.get("/mail/").status_code == 302


def test_who_does_nothing_is_signed_out(owner, monkeypatch):
    later = timezone.now() + timezone.timedelta(seconds=session.IDLE_SECONDS + 1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    assert owner.get("/mail/").status_code == 302


def test_the_two_doors_know_nothing_of_each_other(owner, django_user_model):
    assert owner.get("/console/").status_code == 302
    admin = Client()
    admin.force_login(django_user_model.objects.create_superuser("root"))
    assert admin.get("/mail/").status_code == 302
    admin.cookies[session.COOKIE] = admin.cookies["sessionid"].value
    assert admin.get("/mail/").status_code == 302


def test_pages_are_private_and_run_no_foreign_script(owner):
    page = owner.get("/mail/")
    policy = page["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    assert page["Cache-Control"] == "no-store, private"


def test_a_new_password_needs_the_old_one(owner, bob):
    form = {"old": "wrong", "new": "tr0ubador and 3", "again": "tr0ubador and 3"}
    assert "do not go together" in owner.post("/mail/password/", form).text
    form["again"] = "another"
    form["old"] = PASSWORD
    assert "not the same" in owner.post("/mail/password/", form).text
    assert sign_in(Client()).status_code == 302


def test_a_new_password_ends_the_other_sessions(owner, bob):
    other = Client()
    sign_in(other)
    keys = bob.scram
    form = {"old": PASSWORD, "new": "tr0ubador and 3", "again": "tr0ubador and 3"}
    assert owner.post("/mail/password/", form).status_code == 302
    assert owner.get("/mail/").status_code == 200
    assert other.get("/mail/").status_code == 302
    assert sign_in(Client()).status_code == 400
    assert sign_in(Client(), "tr0ubador and 3").status_code == 302
    bob.refresh_from_db()
    assert bob.scram != keys
    assert PolicyChange.objects.latest("id").actor == "bob@example.test"
