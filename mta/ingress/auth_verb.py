"""Step 1: AUTH (RFC 4954). The mechanisms are in `mta.ingress.auth`."""

import asyncio
from dataclasses import replace

from mta.ingress import auth, replies
from mta.ingress.server import End
from mta.ingress.session import Session
from mta.ingress.wire import BareLineEnd, LineTooLong
from mta.policy import sender
from mta.policy.facts import AuthFacts, Facts, Policy
from mta.protocol.reply import Reply
from mta.queue.commit import storable

AUTH_LINE_LIMIT = 12288
AUTH_FAILURES_ALLOWED = 3
AUTH_FAILURE_PAUSE = 1.0


async def auth_(session: Session, argument: str) -> None:
    if not session.facts.helo:
        return session.complain(replies.NEED_HELO)
    if session.facts.auth_user:
        return session.complain(replies.ALREADY_AUTHENTICATED)
    if session.transaction is not None:
        return session.complain(replies.NESTED_MAIL)
    mechanism, _, initial = argument.partition(" ")
    policy = await session.house.gate.current()
    asked = AuthFacts(mechanism.upper())
    if not sender.may_authenticate(Facts(session=session.facts, auth=asked), policy):
        decision, _ = await session.reception.authenticate(session.facts, asked, policy)
        session.refused(decision, "")
        return session.complain(decision.reply)
    make_exchange = auth.MECHANISMS.get(mechanism.upper())
    if make_exchange is None:
        return session.complain(replies.AUTH_UNKNOWN)
    try:
        first = auth.decode(initial.encode()) if initial else None
        credentials = await _exchange(session, make_exchange(first))
    except auth.Malformed:
        return session.complain(replies.AUTH_MALFORMED)
    if credentials is None:
        return session.complain(replies.AUTH_CANCELLED)
    await _check_credentials(session, mechanism.upper(), credentials, policy)
    return None


async def _exchange(session: Session, exchange: auth.Exchange) -> auth.Credentials | None:
    """Carry challenges and responses; None when the client cancels with "*"."""
    try:
        challenge = next(exchange)
        while True:
            session.say(Reply(334, "", auth.encode(challenge)))
            await session.flush()
            try:
                line = await session.wire.line(AUTH_LINE_LIMIT)
            except (LineTooLong, BareLineEnd) as error:
                raise auth.Malformed from error
            if line == b"*":
                return None
            challenge = exchange.send(auth.decode(line))
    except StopIteration as done:
        credentials: auth.Credentials = done.value
        return credentials


async def _check_credentials(
    session: Session, mechanism: str, credentials: auth.Credentials, policy: Policy
) -> None:
    user = credentials.user.lower()
    accepted = credentials.authorization.lower() in ("", user)
    if accepted:
        accepted = await session.house.gate.authenticate(user, credentials.password)
    asked = AuthFacts(mechanism, storable(user), accepted)
    decision, _ = await session.reception.authenticate(session.facts, asked, policy)
    if decision.accepted:
        session.facts = replace(session.facts, auth_user=user)
        session.remember(decision, user)
        return session.say(decision.reply)
    session.refused(decision, user)
    session.auth_failures += 1
    await asyncio.sleep(AUTH_FAILURE_PAUSE)
    session.complain(decision.reply)
    if session.auth_failures >= AUTH_FAILURES_ALLOWED:
        session.say(replies.TOO_MANY_ERRORS)
        raise End
    return None
