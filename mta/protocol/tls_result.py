"""What became of TLS with a host, in the words of TLS reports (RFC 8460 4.2, 4.3)."""

import ssl
from dataclasses import dataclass
from enum import StrEnum

from mta.protocol.mta_sts import Policy
from mta.protocol.smtp_stream import UntrustedCertificate
from mta.protocol.tlsa import BadDates, BadName, DaneMismatch

MAX_DETAIL = 300

# OpenSSL's numbers of what is wrong with a certificate.
_NOT_YET_VALID, _EXPIRED, _HOST_MISMATCH = 9, 10, 62


class PolicyType(StrEnum):
    """What asked for the protection; `ROUTE` and `REQUIRETLS` are ours and not in the RFC."""

    TLSA = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"
    ROUTE = "route"
    REQUIRETLS = "requiretls"


class TlsWord(StrEnum):
    SUCCESS = "success"
    NO_STARTTLS = "starttls-not-supported"
    HOST_MISMATCH = "certificate-host-mismatch"
    EXPIRED = "certificate-expired"
    NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION = "validation-failure"
    TLSA_INVALID = "tlsa-invalid"
    DNSSEC_INVALID = "dnssec-invalid"
    STS_FETCH = "sts-policy-fetch-error"
    STS_INVALID = "sts-policy-invalid"
    STS_WEBPKI = "sts-webpki-invalid"


@dataclass(frozen=True, slots=True)
class TlsResult:
    """One session, or one that did not come about. `detail` is for people; "" on success."""

    domain: str
    mx_host: str
    policy: PolicyType
    word: TlsWord
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StsFinding:
    """The policy in force for a domain, if there is one, and why a new one could not be had."""

    policy: Policy | None = None
    trouble: TlsWord | None = None
    detail: str = ""


NO_POLICY = StsFinding()


def word_for(error: BaseException) -> TlsWord:
    """The word for a handshake that failed, from the error or what caused it."""
    cause = error.__cause__
    if isinstance(cause, BadName):
        return TlsWord.HOST_MISMATCH
    if isinstance(cause, BadDates):
        return TlsWord.EXPIRED
    if isinstance(cause, DaneMismatch):
        return TlsWord.NOT_TRUSTED
    if isinstance(cause, ssl.SSLCertVerificationError):
        known = {
            _HOST_MISMATCH: TlsWord.HOST_MISMATCH,
            _EXPIRED: TlsWord.EXPIRED,
            _NOT_YET_VALID: TlsWord.EXPIRED,
        }
        return known.get(cause.verify_code, TlsWord.NOT_TRUSTED)
    return TlsWord.NOT_TRUSTED if isinstance(error, UntrustedCertificate) else TlsWord.VALIDATION
