"""An administrator at the console, and rows to look at."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from mta.models import Refusal


@pytest.fixture
def admin_user(django_user_model):
    return django_user_model.objects.create_superuser("root", password="a long password")


@pytest.fixture
def browser(admin_user) -> Client:
    """A client that has signed in."""
    client = Client()
    client.force_login(admin_user)
    return client


@pytest.fixture
def refusal(db) -> Refusal:
    return Refusal.objects.create(
        at=timezone.now() - timedelta(minutes=3),
        stage="rcpt",
        client_ip="203.0.113.9",
        helo="spam.example",
        auth_user="",
        reverse_path="spammer@junk.example",
        recipient="nobody@example.test",
        code=550,
        status="5.1.1",
        text="nobody here by that name",
        rule="unknown_here",
        policy_version=7,
        trace=[
            {"rule": "mailbox", "matched": False, "detail": "no such mailbox"},
            {"rule": "unknown_here", "matched": True, "detail": "example.test is ours"},
        ],
        session={"client_ip": "203.0.113.9", "helo": "spam.example", "tls": "TLSv1.3"},
    )
