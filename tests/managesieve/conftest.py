"""Two users, and the server that keeps their scripts."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from deploy import certificate
from mta.ingress import process
from mta.managesieve import sign_in
from mta.models import Domain, Mailbox, Settings
from tests.support.managesieve_session import Client, running_managesieve

BOB = "bob@example.test"
PASSWORD = "correct horse"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a self-signed certificate for mail.example.test."""
    folder = tmp_path_factory.mktemp("tls")
    certificate.ensure(folder, "mail.example.test")
    return folder


@pytest.fixture
def town(transactional_db: None, settings) -> Domain:
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.MD5PasswordHasher",
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    ]
    here = Domain.objects.create(name="example.test")
    for name in ("bob", "ann"):
        mailbox = Mailbox(domain=here, local_part=name)
        mailbox.set_password(PASSWORD)
        mailbox.save()
    Settings.load()
    return here


@pytest.fixture
def port(town, certificates, monkeypatch) -> Iterator[int]:
    monkeypatch.setattr(sign_in, "FAILURE_PAUSE", 0.0)
    context = process.tls_context(str(certificates / "cert.pem"), str(certificates / "key.pem"))
    with running_managesieve(context) as port:
        yield port


@pytest.fixture
def connect(port) -> Iterator[Callable[[], Client]]:
    """Opens a connection, in clear."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Client(port))


@pytest.fixture
def bob(connect) -> Client:
    """Signed in under TLS."""
    client = connect()
    client.starttls()
    assert client.sign_in(BOB, PASSWORD).startswith("OK")
    return client


@pytest.fixture
def change() -> Callable[..., None]:
    """Change settings, as an administrator would."""

    def change(**values: object) -> None:
        Settings.objects.filter(id=1).update(**values)

    return change
