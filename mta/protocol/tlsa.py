"""TLSA records and what they prove of a certificate chain (RFC 6698, RFC 7671, RFC 7672).

Pure: records and certificates in, the match or a reason out. Records come from the DNS of
strangers, so each may be malformed, huge or one of hundreds; certificates come from any peer.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mta.protocol.printable import printable

MAX_RECORDS = 50
MAX_DATA = 16 * 1024
MAX_CHAIN = 10


class Usage(IntEnum):
    """The usages that SMTP takes; PKIX-TA(0) and PKIX-EE(1) are unusable (RFC 7672 3.1.3)."""

    DANE_TA = 2
    DANE_EE = 3


_DIGEST_SIZES = {1: 32, 2: 64}
_DIGESTS = {1: hashlib.sha256, 2: hashlib.sha512}


@dataclass(frozen=True, slots=True)
class TlsaRecord:
    """One record as it stands in the DNS; `data` is a digest, with matching 0 the thing itself."""

    usage: int
    selector: int
    matching: int
    data: bytes

    def __str__(self) -> str:
        return f"{self.usage} {self.selector} {self.matching}"

    @property
    def usable(self) -> bool:
        """Whether a client can act on it; others count as if they were not there."""
        known = self.usage in list(Usage) and self.selector in (0, 1)
        if not known or not 0 < len(self.data) <= MAX_DATA:
            return False
        if self.matching == 0:
            return True
        return len(self.data) == _DIGEST_SIZES.get(self.matching)


class DaneMismatch(Exception):
    """The chain is not what the records promise; the text says in what."""


class BadDates(DaneMismatch):
    """A certificate below the trust anchor is not valid now."""


class BadName(DaneMismatch):
    """The certificate belongs to the trust anchor's people, but names another host."""


def usable(records: Iterable[TlsaRecord]) -> tuple[TlsaRecord, ...]:
    """The first MAX_RECORDS that a client can act on."""
    return tuple(record for record in records if record.usable)[:MAX_RECORDS]


def check(
    records: Sequence[TlsaRecord],
    chain: Sequence[bytes],
    names: Sequence[str],
    now: datetime | None = None,
) -> TlsaRecord:
    """The usable record that the chain satisfies. Raises DaneMismatch.

    `chain` is in DER as the peer sent it, its own certificate first. `names` are the reference
    identifiers of RFC 7672 3.2.2, which matter for DANE-TA only: a DANE-EE record binds the key
    to this host by itself, whatever names or dates the certificate has (3.1.1).
    """
    certificates = _load(chain)
    for record in records:
        if record.usage == Usage.DANE_EE and _matches(record, certificates[0]):
            return record
    trouble: DaneMismatch | None = None
    for record in records:
        if record.usage != Usage.DANE_TA:
            continue
        try:
            _check_anchored(record, certificates, now or datetime.now(UTC))
            _check_name(certificates[0], names)
            return record
        except DaneMismatch as error:
            # What came closest is worth more to an administrator than "no match".
            if trouble is None or isinstance(error, BadDates | BadName):
                trouble = error
    raise trouble or DaneMismatch("the certificate matches no TLSA record")


def _load(chain: Sequence[bytes]) -> list[x509.Certificate]:
    if not chain:
        raise DaneMismatch("the peer showed no certificate")
    try:
        return [x509.load_der_x509_certificate(each) for each in chain[:MAX_CHAIN]]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise DaneMismatch("the peer's certificate cannot be read") from error


def _matches(record: TlsaRecord, certificate: x509.Certificate) -> bool:
    try:
        selected = _selected(record, certificate)
    except (ValueError, UnsupportedAlgorithm):
        # A key of a kind that we do not know may stand in the certificate of a stranger.
        return False
    digest = _DIGESTS.get(record.matching)
    return record.data == (digest(selected).digest() if digest else selected)


def _selected(record: TlsaRecord, certificate: x509.Certificate) -> bytes:
    if record.selector == 0:
        return certificate.public_bytes(Encoding.DER)
    key = certificate.public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_anchored(
    record: TlsaRecord, certificates: Sequence[x509.Certificate], now: datetime
) -> None:
    """The first certificate must lead, signature by signature, to the one of the record.

    Peers must send the anchor along (RFC 7672 3.1.2), so it is looked for in what they sent; only
    a record that holds the whole certificate needs no sending.
    """
    anchors = [each for each in certificates[1:] if _matches(record, each)]
    anchors += _published(record)
    if not anchors:
        raise DaneMismatch("no certificate of the chain matches a TLSA record")
    issuers = [*certificates[1:], *anchors]
    current, used = certificates[0], 0
    while not (used and current in anchors):
        _check_dates(current, now)
        issuer = next((each for each in [*anchors, *issuers] if _issued(current, each)), None)
        if issuer is None or used == MAX_CHAIN:
            raise DaneMismatch("the chain does not lead to the trust anchor of the TLSA record")
        _check_may_sign(issuer, used)
        current, used = issuer, used + 1


def _published(record: TlsaRecord) -> list[x509.Certificate]:
    """The anchor that the DNS holds in full."""
    if record.matching != 0 or record.selector != 0:
        return []
    try:
        return [x509.load_der_x509_certificate(record.data)]
    except (ValueError, UnsupportedAlgorithm):
        return []


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    if certificate == issuer:
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _check_dates(certificate: x509.Certificate, now: datetime) -> None:
    """The anchor's own dates do not count: the DNS vouches for it today."""
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise BadDates("a certificate of the chain has expired or is not valid yet")


def _check_may_sign(issuer: x509.Certificate, below: int) -> None:
    """`below` is the number of authorities between the issuer and the peer's certificate."""
    try:
        basic = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = _key_usage(issuer)
    except (ValueError, x509.ExtensionNotFound):
        raise DaneMismatch("a certificate of the chain may not sign others") from None
    if not basic.ca or not (usage is None or usage.key_cert_sign):
        raise DaneMismatch("a certificate of the chain may not sign others")
    if basic.path_length is not None and below > basic.path_length:
        raise DaneMismatch("the chain is longer than one of its authorities allows")


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _check_name(certificate: x509.Certificate, names: Sequence[str]) -> None:
    presented = presented_names(certificate)
    if not any(name_matches(pattern, name) for pattern in presented for name in names):
        # Names of a stranger's making: this text goes into replies, logs and reports.
        shown = printable(", ".join(presented[:3]), 200) or "no name"
        raise BadName(f"the certificate is for {shown}, not for {names[0] if names else 'this'}")


def presented_names(certificate: x509.Certificate) -> list[str]:
    """DNS names of the certificate; the common name only where there are none (RFC 7672 3.2.3)."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except (ValueError, x509.ExtensionNotFound):
        names = []
    if names:
        return names
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return [str(common[-1].value)] if common else []


def name_matches(pattern: str, name: str) -> bool:
    """Whether a presented name covers a host: a "*" stands for the whole first label only."""
    pattern, name = pattern.rstrip(".").lower(), name.rstrip(".").lower()
    if not pattern.startswith("*."):
        return bool(name) and pattern == name
    first, dot, rest = name.partition(".")
    return bool(first and dot) and "." in rest and rest == pattern[2:]
