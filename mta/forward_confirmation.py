"""May mail of a mailbox be forwarded elsewhere? Only when whoever reads that address has agreed.

Otherwise a stolen password, or a slip, would send somebody's mail to a stranger, and a stranger
mail that they never asked for.
"""

import hashlib
import secrets
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import quote

from django.db import transaction
from django.utils import timezone

from mta.filters.automatic import letter, message_id
from mta.models import ForwardConfirmation, Mailbox
from mta.protocol import address as addresses
from mta.protocol.envelope import Envelope, Recipient, Source

# Nobody is written to more often than this because of one mailbox, whatever its owner does.
ASK_AGAIN = timedelta(hours=1)
TOKEN_LIFE = timedelta(days=14)
MAX_WAITING = 20
PATH = "/mail/confirm/"

Enqueue = Callable[[Envelope, bytes, str], object]


class CannotAsk(ValueError):
    """The sentence says why, for the owner."""


def normal(text: str) -> str:
    """The address as it is compared. Raises AddressError."""
    return addresses.parse(text).lower()


def is_confirmed(mailbox: Mailbox, address: str) -> bool:
    row = ForwardConfirmation.objects.filter(mailbox=mailbox, address=normal(address))
    return row.filter(confirmed_at__isnull=False).exists()


def is_known(mailbox: Mailbox, address: str) -> bool:
    """Whether the address has been asked, whatever it said."""
    return ForwardConfirmation.objects.filter(mailbox=mailbox, address=normal(address)).exists()


def ask(mailbox: Mailbox, text: str, *, hostname: str, enqueue: Enqueue, site: str = "") -> bool:
    """Send a mail with a link to that address; False when it is confirmed already.

    `site` is where our pages are ("https://mail.example.com"), "" for `hostname`. Raises
    AddressError, CannotAsk.
    """
    address = normal(text)
    now = timezone.now()
    with transaction.atomic():
        Mailbox.objects.select_for_update().get(pk=mailbox.pk)
        rows = ForwardConfirmation.objects.filter(mailbox=mailbox)
        known = rows.filter(address=address).first()
        if known is not None and known.confirmed_at is not None:
            return False
        if known is not None and known.asked_at > now - ASK_AGAIN:
            raise CannotAsk("that address has just been asked; look into its mail first")
        if known is None and rows.filter(confirmed_at__isnull=True).count() >= MAX_WAITING:
            raise CannotAsk("too many addresses have not answered yet")
        token = secrets.token_urlsafe(24)
        rows.update_or_create(
            mailbox=mailbox,
            address=address,
            defaults={"token_hash": _digest(token), "asked_at": now, "confirmed_at": None},
        )
        link = f"{site or f'https://{hostname}'}{PATH}{quote(token)}"
        envelope = Envelope("", (Recipient(address, notify="NEVER"),), Source.LOCAL)
        origin = f"confirm {mailbox.pk} {_digest(token)}"
        enqueue(envelope, _question(mailbox, address, link, hostname, now.timestamp()), origin)
    return True


def confirm(token: str) -> ForwardConfirmation | None:
    """Agree by the token of the mail; None when it fits nothing, or is too old."""
    now = timezone.now()
    rows = ForwardConfirmation.objects.filter(token_hash=_digest(token))
    rows.filter(confirmed_at__isnull=True, asked_at__gt=now - TOKEN_LIFE).update(confirmed_at=now)
    return rows.filter(confirmed_at__isnull=False).select_related("mailbox__domain").first()


def asked(token: str) -> ForwardConfirmation | None:
    """What the token is about, without agreeing; None as for `confirm`."""
    since = timezone.now() - TOKEN_LIFE
    rows = ForwardConfirmation.objects.filter(token_hash=_digest(token), asked_at__gt=since)
    return rows.select_related("mailbox__domain").first()


def withdraw(mailbox: Mailbox, address: str) -> None:
    """Forget that the address has agreed. Raises AddressError."""
    ForwardConfirmation.objects.filter(mailbox=mailbox, address=normal(address)).delete()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _question(mailbox: Mailbox, address: str, link: str, hostname: str, at: float) -> bytes:
    fields = {
        "From": f"postmaster@{hostname}",
        "To": addresses.wire(address),
        "Subject": f"Do you want the mail of {mailbox.address}?",
        "Message-ID": message_id(hostname, "confirm", link),
        "Auto-Submitted": "auto-generated",
    }
    text = (
        f"The owner of {mailbox.address} wants mail to be forwarded to this address.\n"
        f"If you agree, open this page and say so:\n\n{link}\n\n"
        "If you do not know what this is about, do nothing: no mail is forwarded then.\n"
    )
    return letter(fields, at, text)
