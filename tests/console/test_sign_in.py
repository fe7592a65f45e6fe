"""Guessing passwords at the console: after ten failures one waits, whoever and wherever one is."""

from datetime import timedelta

import pytest
from django.contrib.auth.hashers import make_password
from django.db.models import F
from django.test import Client

from courierweb.console.models import FailedSignIn
from courierweb.console.sign_in import FAILURES_ALLOWED, WINDOW

pytestmark = pytest.mark.django_db

PASSWORD = "a long password"
TOO_MANY = "Too many failed sign-ins"


@pytest.fixture(autouse=True)
def root(settings, django_user_model):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return django_user_model.objects.create(
        username="root", password=make_password(PASSWORD), is_staff=True, is_superuser=True
    )


def sign_in(username="root", password=PASSWORD, client_ip="203.0.113.9"):
    form = {"username": username, "password": password, "next": "/console/"}
    return Client(REMOTE_ADDR=client_ip).post("/console/login/", form)


def fail(times=FAILURES_ALLOWED, **who):
    for _ in range(times):
        response = sign_in(password="a guess", **who)
        assert response.status_code == 200
        assert TOO_MANY not in response.text


def test_a_user_name_waits_after_ten_failures_from_anywhere():
    for number in range(FAILURES_ALLOWED):
        fail(1, client_ip=f"192.0.2.{number}")
    assert TOO_MANY in sign_in(password="a guess").text
    assert TOO_MANY in sign_in().text


def test_an_address_waits_after_ten_failures_with_any_names():
    for number in range(FAILURES_ALLOWED):
        fail(1, username=f"user{number}")
    assert TOO_MANY in sign_in().text
    assert sign_in(client_ip="192.0.2.1").url == "/console/"


def test_a_proxy_on_this_host_does_not_wait_for_one_of_its_clients():
    fail(username="nobody", client_ip="127.0.0.1")
    assert sign_in(client_ip="127.0.0.1").url == "/console/"


def test_who_kept_on_trying_may_sign_in_when_the_failures_are_old():
    fail()
    FailedSignIn.objects.update(at=F("at") - WINDOW + timedelta(seconds=60))
    for _ in range(FAILURES_ALLOWED):
        assert TOO_MANY in sign_in().text
    FailedSignIn.objects.update(at=F("at") - timedelta(seconds=61))
    assert sign_in().url == "/console/"


def test_success_forgives_the_failures_before_it():
    for _ in range(2):
        fail(FAILURES_ALLOWED - 1)
        assert sign_in().url == "/console/"


def test_an_unknown_user_and_one_without_the_right_count_alike(django_user_model):
    django_user_model.objects.create(username="intern", password=make_password(PASSWORD))
    for _ in range(FAILURES_ALLOWED):
        assert sign_in(username="intern").status_code == 200
    assert TOO_MANY in sign_in(username="intern", client_ip="192.0.2.1").text
    fail(username="nobody", client_ip="192.0.2.2")
    assert TOO_MANY in sign_in(username="nobody", client_ip="192.0.2.3").text


def test_an_empty_form_is_no_failure():
    for _ in range(FAILURES_ALLOWED + 1):
        assert TOO_MANY not in sign_in(username="", password="").text
    assert sign_in().url == "/console/"
