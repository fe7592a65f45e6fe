"""The database's answers to policy, remembered for as long as the policy version stands."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction

from mta.directory import Directory
from mta.models import AccessRule, Alias, Domain, Mailbox, Route, Settings
from mta.policy.facts import DomainKind, Standing
from tests.support.threads import Beside


@pytest.fixture
def directory(transactional_db, settings) -> Directory:
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher",
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    ]
    domain = Domain.objects.create(name="example.test")
    bob = Mailbox(domain=domain, local_part="bob", quota=1000)
    bob.set_password("secret")
    bob.save()
    Alias.objects.create(name="sales@example.test", targets=["bob@example.test"])
    made = Directory("mail.example.test")
    made.refresh()
    return made


def test_everything_policy_asks(directory):
    Domain.objects.create(name=".backup.example", kind=Domain.Kind.BACKUP)
    Route.objects.create(domain="*", relay="smart.example", port=587, security="REQUIRED")
    for prefix in ("10.0.0.0/8", "10.1.2.0/24", "::/0", "10.1.0.0/16"):
        AccessRule.objects.create(prefix=prefix, relay=prefix == "10.0.0.0/8")
    Settings.objects.update(maxrcpts=7, warntime=timedelta(0))
    policy = directory.refresh()

    assert policy.hostname == "mail.example.test"
    assert policy.domain_kind("example.test") is DomainKind.HOSTED
    assert policy.domain_kind("a.backup.example") is DomainKind.BACKUP
    assert [rule.network.prefixlen for rule in policy.access] == [24, 16, 8, 0]
    assert policy.access_for("10.1.2.3").relay is False
    assert policy.access_for("10.200.0.1").relay is True
    assert policy.access_for("192.0.2.1") is None
    assert policy.limits.recipients == 7
    assert policy.times.warntime == timedelta(0)
    assert directory.nexthop("a@elsewhere.example") == "relay:smart.example:587/REQUIRED"
    assert directory.is_mailbox("Bob@example.test")
    assert not directory.is_mailbox("sales@example.test")
    assert not directory.is_mailbox("bob@elsewhere.example")
    assert directory.quota("bob@example.test") == 1000
    assert directory.quota("nobody@example.test") == 0


def test_nothing_is_asked_twice_until_something_changes(directory, django_assert_num_queries):
    assert directory.known_resolution("sales@example.test") is None
    assert directory.resolve("sales@example.test").targets == ("bob@example.test",)
    with django_assert_num_queries(0):
        assert directory.resolve("sales@example.test").standing is Standing.ALIAS
        assert directory.known_resolution("sales@example.test") is not None
        assert directory.is_mailbox("bob@example.test")
    directory.refresh()
    assert directory.known_resolution("sales@example.test") is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda: Alias.objects.update(targets=["ann@example.test"]),
        lambda: Alias.objects.all().delete(),
        lambda: Alias.objects.create(name="new@example.test", targets=["bob@example.test"]),
        lambda: Mailbox.objects.update(enabled=False),
        lambda: Domain.objects.create(name="other.example"),
        lambda: AccessRule.objects.create(prefix="10.0.0.0/8"),
        lambda: Route.objects.create(domain="*", relay="discard"),
        lambda: Settings.objects.update(maxrcpts=3),
    ],
)
def test_every_change_makes_a_version_and_forgets_what_was_known(directory, change):
    directory.resolve("bob@example.test")
    before = directory.policy
    change()
    after = directory.refresh()
    assert after.version > before.version
    assert directory.known_resolution("bob@example.test") is None


def test_a_change_that_changes_nothing_makes_no_version(directory):
    before = directory.refresh().version
    Mailbox.objects.update(quota=1000)
    assert directory.refresh().version == before


def test_a_change_that_is_not_committed_is_not_in_force(directory):
    before = directory.refresh()
    with transaction.atomic():
        Domain.objects.create(name="later.example")
        assert Beside(directory.refresh).result() is before
    assert directory.refresh().domain_kind("later.example") is DomainKind.HOSTED


def test_passwords(directory):
    assert directory.authenticate("bob@example.test", "secret")
    assert directory.authenticate("BOB@example.test", "secret")
    assert not directory.authenticate("bob@example.test", "wrong")
    assert not directory.authenticate("bob@example.test", "")
    assert not directory.authenticate("bob", "secret")
    assert not directory.authenticate("sales@example.test", "secret")
    Mailbox.objects.update(enabled=False)
    directory.refresh()
    assert not directory.authenticate("bob@example.test", "secret")


def test_a_mailbox_without_a_password_lets_nobody_in(directory):
    Mailbox.objects.update(password="")
    directory.refresh()
    assert not directory.authenticate("bob@example.test", "")
    assert not directory.authenticate("bob@example.test", "secret")


def test_what_was_read_before_a_change_is_not_remembered_after_it(directory):
    """A sign-in that is slow to read the old password must not bring it back."""
    read, go_on = threading.Event(), threading.Event()

    def pause_after_reading(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        if "mta_mailbox" in sql:
            read.set()
            go_on.wait(30)
        return result

    def sign_in() -> bool:
        with connection.execute_wrapper(pause_after_reading):
            return directory.authenticate("bob@example.test", "secret")

    slow = Beside(sign_in)
    read.wait(30)
    bob = Mailbox.objects.get()
    bob.set_password("changed")
    bob.save()
    directory.refresh()
    go_on.set()
    slow.result()

    assert not directory.authenticate("bob@example.test", "secret")
    assert directory.authenticate("bob@example.test", "changed")
