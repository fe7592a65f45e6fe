"""The log of mail events: one function per event, one line per call, `event key=value ...`.

Everything a stranger chose (addresses, HELO names, replies) is quoted, so that no value can end
its line, forge another key or move the cursor of a terminal. Lines go to the logger
"mta.maillog" at INFO, trouble at WARNING.
"""

import logging
import re

MAX_VALUE = 500

_log = logging.getLogger("mta.maillog")
_PLAIN = re.compile(r"[A-Za-z0-9@.:/_+<>,\[\]-]+\Z")


def accepted(
    queue_id: str, client_ip: str, helo: str, reverse_path: str, recipients: int, size: int
) -> None:
    """A message is durable, for that many recipients; `size` is in octets."""
    _info(
        "accepted",
        id=queue_id,
        client=client_ip,
        helo=helo,
        sender=f"<{reverse_path}>",
        recipients=recipients,
        size=size,
    )


def refused(
    stage: str, client_ip: str, helo: str, reverse_path: str, recipient: str, reply: str, rule: str
) -> None:
    """A client, a sender, a recipient or a content was turned away."""
    _info(
        "refused",
        stage=stage,
        client=client_ip,
        helo=helo,
        sender=f"<{reverse_path}>",
        to=recipient,
        reply=reply,
        rule=rule,
    )


def mailbox_filter_failed(name: str, problem: str) -> None:
    """A program that judges an owner's mail did not: the client was told to come again."""
    _warning("mailbox_filter_failed", filter=name, problem=problem)


def delivered(queue_id: str, recipient: str, transport: str, remote: str, reply: str) -> None:
    """A recipient was delivered here or taken over by a peer."""
    _info("delivered", id=queue_id, to=recipient, transport=transport, remote=remote, reply=reply)


def deferred(queue_id: str, recipient: str, transport: str, remote: str, reply: str) -> None:
    """A recipient will be tried again."""
    _info("deferred", id=queue_id, to=recipient, transport=transport, remote=remote, reply=reply)


def bounced(queue_id: str, recipient: str, transport: str, remote: str, reply: str) -> None:
    """A recipient failed for good."""
    _info("bounced", id=queue_id, to=recipient, transport=transport, remote=remote, reply=reply)


def dsn_sent(queue_id: str, report: str, recipient: str, dsn_queue_id: str) -> None:
    """A report about the message `queue_id` was queued as `dsn_queue_id`."""
    _info("dsn_sent", id=queue_id, report=report, to=recipient, dsn=dsn_queue_id)


def forwarded(queue_id: str, recipient: str, addresses: int, forward_queue_id: str) -> None:
    """A recipient's instructions send the message on to so many addresses."""
    _info("forwarded", id=queue_id, to=recipient, addresses=addresses, forward=forward_queue_id)


def read(actor: str, what: str) -> None:
    """An administrator has looked into somebody's mail."""
    _info("read", by=actor, what=what)


def controlled(verb: str, actor: str, recipients: int, reason: str) -> None:
    """Somebody held, released, retried or cancelled that many recipients."""
    _info(verb, by=actor, recipients=recipients, reason=reason)


def lease_expired(recipient_id: int) -> None:
    """A worker died or hung: this recipient is work again."""
    _warning("lease_expired", recipient=recipient_id)


def broker_unreachable(error: str) -> None:
    """A nudge could not be given; the beat finds the work a little later."""
    _warning("broker_unreachable", error=error)


def _info(event: str, **fields: str | int) -> None:
    if _log.isEnabledFor(logging.INFO):
        _log.info(_line(event, fields))


def _warning(event: str, **fields: str | int) -> None:
    _log.warning(_line(event, fields))


def _line(event: str, fields: dict[str, str | int]) -> str:
    pairs = [f"{name}={_value(value)}" for name, value in fields.items()]
    return " ".join([event, *pairs])


def _value(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    if len(value) > MAX_VALUE:
        value = value[:MAX_VALUE] + "..."
    if _PLAIN.match(value):
        return value
    if value.isprintable():
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return '"' + "".join(map(_escape, value)) + '"'


def _escape(char: str) -> str:
    """A backslash form for quotes and whatever is not printable, lone surrogates included."""
    if char in '"\\':
        return "\\" + char
    if char.isprintable():
        return char
    return char.encode("unicode_escape").decode("ascii")
