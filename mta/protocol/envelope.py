"""The envelope of a message: who it is from and for whom (RFC 5321 2.3.1, RFC 3461)."""

from dataclasses import dataclass
from enum import StrEnum

# The sender of a report on mail that had none itself; mail from it that fails is dropped.
DOUBLE_BOUNCE_SENDER = "#@[]"


class Source(StrEnum):
    """Where a message came in; `dsn` and `forward` are made inside."""

    ESMTP = "esmtp"
    SUBMISSION = "submission"
    LOCAL = "local"
    DSN = "dsn"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient as the client gave it.

    `notify` is the NOTIFY list in upper case, comma separated, "" when not given (RFC 3461 4.1).
    `original_recipient` is ORCPT as "type;address" with xtext undone, "" when not given.
    `forwarded_by` is the alias or the account that put this address in its place, "" for none.
    """

    address: str
    notify: str = ""
    original_recipient: str = ""
    forwarded_by: str = ""


@dataclass(frozen=True, slots=True)
class Envelope:
    """RFC 5321 data of one transaction. `reverse_path` is "" for the null sender.

    `ret` is "FULL", "HDRS" or ""; `envid` is the ENVID with xtext undone (RFC 3461 4.3, 4.4).
    `verp` asks for a return path of its own for each recipient, `requiretls` for TLS on every
    hop (RFC 8689).
    """

    reverse_path: str
    recipients: tuple[Recipient, ...]
    source: Source
    ret: str = ""
    envid: str = ""
    smtputf8: bool = False
    verp: bool = False
    requiretls: bool = False
    auth_user: str = ""
    client_ip: str = ""
    helo: str = ""
