"""Step 6, ESMTP and LMTP: which transactions a message takes with a peer, and their commands.

One message may take several: when it has very many recipients, when some of them want no report
and the peer knows no DSN, and when each needs a return path of its own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from mta.protocol import exdata, verp
from mta.protocol.exdata import Verdicts
from mta.protocol.smtp_commands import mail_command, rcpt_command
from mta.transports.base import QueuedMessage, QueuedRecipient

# Every server takes at least this many (RFC 5321 4.5.3.1.8).
MAX_RECIPIENTS = 100

# Octets from which on content goes by BDAT to a peer that takes it.
MIN_CHUNKED = 256 * 1024


@dataclass(frozen=True, slots=True)
class Batch:
    """The recipients of one transaction, and the reverse-path it uses.

    With `verp` the peer makes the return path of each recipient from it.
    """

    reverse_path: str
    recipients: Sequence[QueuedRecipient]
    verp: bool = False


@dataclass(frozen=True, slots=True)
class Commands:
    """A transaction as the wire wants it; `verdicts` is what `mail` asks for.

    `chunked`: the content goes by BDAT.
    """

    mail: str
    recipients: Sequence[str]
    verdicts: Verdicts
    chunked: bool


def batches(
    message: QueuedMessage, recipients: Sequence[QueuedRecipient], offered: Mapping[str, str]
) -> Iterator[Batch]:
    """Transactions to make with a peer that offers these extensions.

    A peer without DSN would report to a sender who asked for NOTIFY=NEVER; for it such
    recipients go without a reverse-path, as Courier does.
    """
    silent = [] if "DSN" in offered else [each for each in recipients if each.notify == "NEVER"]
    spoken = [each for each in recipients if each not in silent]
    others = [each for each in spoken if not each.return_path]
    variable = message.verp and verp.is_possible(message.reverse_path)
    if variable and not verp.is_offered(offered):
        for each in others:
            yield Batch(verp.encode(message.reverse_path, each.address), [each])
    else:
        yield from _in_hundreds(others, message.reverse_path, is_verp=variable)
    for return_path in dict.fromkeys(each.return_path for each in spoken if each.return_path):
        forwarded = [each for each in spoken if each.return_path == return_path]
        yield from _in_hundreds(forwarded, return_path)
    yield from _in_hundreds(silent, "")


def final_batches(message: QueuedMessage, recipients: Sequence[QueuedRecipient]) -> Iterator[Batch]:
    """Transactions with a server of mailboxes, which reports nothing to senders itself.

    The return path is then the message's own, which stays in the mailbox; with VERP it names the
    recipient (spec 2.8), and so each has a transaction.
    """
    if message.verp and verp.is_possible(message.reverse_path):
        for each in recipients:
            yield Batch(verp.encode(message.reverse_path, each.address), [each])
    else:
        yield from _in_hundreds(recipients, message.reverse_path)


def commands(
    message: QueuedMessage, batch: Batch, offered: Mapping[str, str], content: bytes
) -> Commands:
    """What to say for a batch; `content` is the message in the form that will be sent."""
    verdicts = exdata.offered_by(offered)
    if verdicts is Verdicts.PRDR and len(batch.recipients) == 1:
        verdicts = Verdicts.ONE_FOR_ALL
    mail = mail_command(
        batch.reverse_path,
        offered,
        size=len(content),
        eight_bit=not content.isascii(),
        smtputf8=needs_smtputf8(message, content) or not all(map(_is_ascii, batch.recipients)),
        ret=message.ret,
        envid=message.envid,
        verp=batch.verp,
        verdicts=verdicts,
        requiretls=message.requiretls,
    )
    recipients = [
        rcpt_command(
            each.address,
            offered,
            notify=each.notify,
            original_recipient=each.original_recipient,
        )
        for each in batch.recipients
    ]
    chunked = verdicts is Verdicts.ONE_FOR_ALL and _chunking_pays(batch, offered, content)
    return Commands(mail, recipients, verdicts, chunked)


def _chunking_pays(batch: Batch, offered: Mapping[str, str], content: bytes) -> bool:
    """BDAT spares the search for dots in large contents; a small one is as quick by DATA.

    Who failed before is tried with DATA: there are hosts that offer CHUNKING in good faith behind
    a firewall that does not let BDAT through.
    """
    first = all(each.attempt == 1 for each in batch.recipients)
    return "CHUNKING" in offered and first and len(content) >= MIN_CHUNKED


def needs_smtputf8(message: QueuedMessage, content: bytes) -> bool:
    """For its reverse-path or its header; an internationalised recipient is a need of its own.

    Whether the message came with SMTPUTF8 does not matter: there is no other way in which raw
    characters beyond ASCII are allowed in a header (RFC 6532 3.2).
    """
    if not message.reverse_path.isascii():
        return True
    if content.isascii():
        return False
    end = content.find(b"\r\n\r\n")
    return not content[: end if end >= 0 else len(content)].isascii()


def _in_hundreds(
    recipients: Sequence[QueuedRecipient], reverse_path: str, *, is_verp: bool = False
) -> Iterator[Batch]:
    for start in range(0, len(recipients), MAX_RECIPIENTS):
        yield Batch(reverse_path, recipients[start : start + MAX_RECIPIENTS], is_verp)


def _is_ascii(recipient: QueuedRecipient) -> bool:
    return recipient.address.isascii()
