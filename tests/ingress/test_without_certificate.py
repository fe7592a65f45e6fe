"""An ingress that has no certificate (RFC 3207 4): mail goes on in clear, passwords do not."""

from tests.ingress.conftest import PASSWORD
from tests.support.smtp_session import running_ingress


def test_tls_is_not_offered_and_not_to_be_had(town):
    with running_ingress() as ingress, ingress.connect() as client:
        assert "STARTTLS" not in client.command("EHLO client.example.org")
        assert client.command("STARTTLS") == "454 4.7.0 TLS is not available"
        assert client.mail("bob@example.test").startswith("250")


def test_nobody_can_sign_in(town):
    with running_ingress() as ingress, ingress.connect("submission") as client:
        assert "AUTH" not in client.command("EHLO client.example.org")
        assert client.login("bob@example.test", PASSWORD).startswith("538 5.7.11")
