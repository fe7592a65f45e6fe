"""A small town of addresses, and an ingress that serves it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.hashers import make_password

from deploy import certificate
from mta.ingress import auth_verb, process
from mta.models import Alias, Domain, Mailbox, Settings
from tests.support.smtp_session import Ingress, running_ingress

PASSWORD = "correct horse"


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp("tls")
    certificate.ensure(folder, "mail.example.test")
    return process.tls_context(str(folder / "cert.pem"), str(folder / "key.pem"))


@pytest.fixture
def town(transactional_db: None, settings) -> Domain:
    """Mailboxes bob, ann, carl and dora (disabled) of example.test, and some aliases."""
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher",
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    ]
    password = make_password(PASSWORD)
    here = Domain.objects.create(name="example.test")
    Domain.objects.create(name="backup.example", kind=Domain.Kind.BACKUP)
    for name in ("bob", "ann", "carl", "dora"):
        Mailbox.objects.create(
            domain=here, local_part=name, password=password, enabled=name != "dora"
        )
    for name, targets in {
        "sales": ["bob@example.test"],
        "team": ["ann@example.test", "bob@example.test"],
        "all": ["bob@example.test", "carl@example.test"],
        "away": ["friend@elsewhere.example"],
        "ping": ["pong@example.test"],
        "pong": ["ping@example.test"],
    }.items():
        Alias.objects.create(name=f"{name}@example.test", targets=targets)
    Settings.load()
    # The senders of these tests have no domains in the DNS.
    Settings.objects.update(checkdns=False)
    return here


@pytest.fixture
def ingress(town: Domain, tls, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ingress]:
    monkeypatch.setattr(auth_verb, "AUTH_FAILURE_PAUSE", 0.0)
    with running_ingress(tls) as running:
        yield running


@pytest.fixture
def change() -> Callable[..., None]:
    """Change settings, as an administrator would."""

    def change(**values: object) -> None:
        Settings.objects.filter(id=1).update(**values)

    return change
