"""The Received header (RFC 5321 4.4, RFC 3848, RFC 6531 3.7.3)."""

import re
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

from mta.protocol.address import wire

_UNSAFE = re.compile(r"[^\x21-\x7e\u00a0-\U0010ffff]|[();<>\\]")


def with_protocol(*, esmtp: bool, tls: bool, authenticated: bool, smtputf8: bool) -> str:
    """The registered name of how the message came: SMTP, ESMTP, ESMTPSA, UTF8SMTPSA ..."""
    if not esmtp:
        return "SMTP"
    suffix = ("S" if tls else "") + ("A" if authenticated else "")
    return ("UTF8SMTP" if smtputf8 else "ESMTP") + suffix


def received(
    *,
    helo: str,
    client_ip: str,
    hostname: str,
    protocol: str,
    queue_id: str,
    at: datetime,
    tls: str = "",
    auth_user: str = "",
    recipient: str = "",
    comment: str = "",
) -> bytes:
    """One folded Received header, CRLF included.

    `recipient` is named only when there is just one, so that no hidden recipient is shown.
    `client_ip` is "" for mail made on this host. `comment` is told in parentheses.
    """
    lines = [f"Received: {_from(helo, client_ip)}"]
    comments = []
    if tls:
        comments.append(f"TLS: {' '.join(_UNSAFE.sub('-', word) for word in tls.split())}")
    if auth_user:
        comments.append(f"AUTH: {_UNSAFE.sub('-', auth_user)}")
    if comment:
        comments.append(" ".join(_UNSAFE.sub("-", word) for word in comment.split()))
    if comments:
        lines.append(f"({', '.join(comments)})")
    lines.append(f"by {hostname} (CourierWeb) with {protocol}")
    if recipient:
        lines.append(f"id {queue_id}")
        lines.append(f"for <{wire(recipient)}>; {_date(at.replace(microsecond=0))}")
    else:
        lines.append(f"id {queue_id}; {_date(at.replace(microsecond=0))}")
    return ("\r\n    ".join(lines) + "\r\n").encode("utf-8", "replace")


@lru_cache(4)
def _date(second: datetime) -> str:
    """Made once a second: on a busy host many messages carry the same one."""
    return format_datetime(second)


def _from(helo: str, client_ip: str) -> str:
    if not client_ip:
        return "from localhost (local program)"
    literal = f"IPv6:{client_ip}" if ":" in client_ip else client_ip
    return f"from {_UNSAFE.sub('-', helo) or 'unknown'} ([{literal}])"
