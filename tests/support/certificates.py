"""Certificates for tests: an authority of one's own, and what it signs."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

DAY = timedelta(days=1)


@dataclass
class Issued:
    """A certificate, its key, and those above it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    above: "Issued | None" = None

    @cached_property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @cached_property
    def spki(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def chain(self) -> list[bytes]:
        """In DER, its own first."""
        return [self.der, *(self.above.chain if self.above else [])]

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def pair(self) -> tuple[bytes, bytes]:
        """(certificates, key) in PEM, with all of the chain, as a sink takes them."""
        above = self.above
        chain = self.pem
        while above is not None:
            chain += above.pem
            above = above.above
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return chain, key

    def issue(
        self, *names: str, authority: bool = False, days: int = 1, common_name: str = "leaf"
    ) -> "Issued":
        return _make(common_name, names, authority, days, self)

    def tlsa(self, usage: int, selector: int = 1, matching: int = 1) -> str:
        """The record for it, as a zone file has it."""
        data = self.der if selector == 0 else self.spki
        shown = sha256(data).hexdigest() if matching == 1 else data.hex()
        return f"{usage} {selector} {matching} {shown}"

    @classmethod
    def authority(cls, common_name: str = "Test Authority", *, days: int = 1) -> Self:
        return _make(common_name, (), True, days, None)  # type: ignore[return-value]


def _make(
    common_name: str, names: tuple[str, ...], authority: bool, days: int, issuer: Issued | None
) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 30 * DAY)
        .not_valid_after(now + days * DAY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    signer = issuer.key if issuer else key
    return Issued(builder.sign(signer, hashes.SHA256()), key, issuer)
