"""Step 1: VRFY and EXPN (RFC 5321 3.5), which tell strangers who is here: off unless switched on.

Switched on they still say nothing inside a transaction (spec 2.1), nor to strangers on a listener
that is for users.
"""

from mta.ingress import arguments, replies
from mta.ingress.session import Session
from mta.policy.facts import Resolution, Standing
from mta.protocol import address as addresses
from mta.protocol import status
from mta.protocol.reply import Reply

_FOREIGN = {Standing.FOREIGN, Standing.BACKUP, Standing.UUCP}
_KNOWN = {Standing.MAILBOX, Standing.ACCOUNT, Standing.ALIAS}


async def vrfy(session: Session, argument: str) -> None:
    if not (session.house.gate.policy.vrfy and _may_ask(session)):
        return session.say(replies.CANNOT_VERIFY)
    found = await _resolve(session, argument)
    if found.standing in _FOREIGN:
        return session.say(replies.CANNOT_VERIFY)
    if found.standing in _KNOWN:
        return session.say(_found([found.address]))
    return session.refuse_recipient(_nobody(found))


async def expn(session: Session, argument: str) -> None:
    """The addresses an alias ends in, one a line."""
    if not session.house.gate.policy.expn:
        return session.complain(replies.NOT_IMPLEMENTED)
    if not _may_ask(session):
        return session.say(replies.CANNOT_EXPAND)
    found = await _resolve(session, argument)
    if found.standing in _FOREIGN:
        return session.say(replies.CANNOT_EXPAND)
    if found.standing in _KNOWN:
        return session.say(_found(found.targets))
    return session.refuse_recipient(_nobody(found))


def _may_ask(session: Session) -> bool:
    if session.transaction is not None:
        return False
    return bool(session.facts.auth_user) or not session.facts.auth_required


async def _resolve(session: Session, argument: str) -> Resolution:
    name = arguments.parse_name(argument, session.house.hostname)
    # Both verbs come before MAIL, which would have looked for a change of the policy.
    await session.house.gate.current()
    (found,) = await session.house.gate.resolutions([name])
    return found


def _found(found: "list[str] | tuple[str, ...]") -> Reply:
    lines = [f"<{addresses.wire(address)}>" for address in found]
    return Reply(250, status.DESTINATION_VALID, "\n".join(lines))


def _nobody(found: Resolution) -> Reply:
    text = f"<{addresses.wire(found.address)}>: no such user here"
    return Reply(550, status.BAD_MAILBOX, text)
