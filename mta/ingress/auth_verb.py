"""Step 1: AUTH (RFC 4954). The mechanisms are in `mta.ingress.auth`."""

import asyncio
import logging
from dataclasses import replace

from mta.ingress import auth, replies
from mta.ingress.server import End
from mta.ingress.session import Session
from mta.ingress.wire import BareLineEnd, LineTooLong
from mta.policy import sender
from mta.policy.facts import AuthFacts, Facts, Policy
from mta.protocol import channel_binding
from mta.protocol.reply import Reply
from mta.queue.commit import storable

log = logging.getLogger(__name__)

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
    name, _, initial = argument.partition(" ")
    policy = await session.house.gate.current()
    decision, _ = await session.reception.authenticate(
        session.facts, AuthFacts(name.upper()), policy
    )
    if not decision.accepted:
        session.refused(decision, "")
        return session.complain(decision.reply)
    if name.upper() not in offered(session, policy):
        return session.complain(replies.AUTH_UNKNOWN)
    mechanism = auth.Mechanism(name.upper())
    try:
        first = auth.decode(initial.encode()) if initial else None
        outcome = await _exchange(session, auth.start(mechanism, first, _channel(session)))
    except auth.Malformed:
        return session.complain(replies.AUTH_MALFORMED)
    if outcome is None:
        return session.complain(replies.AUTH_CANCELLED)
    return await _conclude(session, mechanism, outcome, policy)


def offered(session: Session, policy: Policy) -> tuple[auth.Mechanism, ...]:
    """What EHLO lists and AUTH takes in this session, the strongest first."""
    channel = _channel(session)
    return auth.offered(
        tls=bool(session.facts.tls),
        in_clear_allowed=sender.may_authenticate(Facts(session=session.facts), policy),
        channel_binding=bool(channel.bindings),
        client_certificate=bool(channel.identities),
    )


def _channel(session: Session) -> auth.Channel:
    assert session.transport is not None
    tls = session.transport.get_extra_info("ssl_object")
    if tls is None:
        return auth.Channel()
    return auth.Channel(channel_binding.bindings(tls), session.facts.certificate)


async def _exchange(session: Session, exchange: auth.Exchange) -> auth.Outcome | None:
    """Give the exchange what it wants; None when the client cancels with "*"."""
    try:
        wanted = next(exchange)
        while True:
            if isinstance(wanted, auth.KeysWanted):
                keys = await session.house.gate.scram_keys(wanted.user)
                wanted = exchange.send(keys)
                continue
            response = await _response(session, wanted)
            if response == b"*":
                return None
            wanted = exchange.send(auth.decode(response))
    except StopIteration as done:
        outcome: auth.Outcome = done.value
        return outcome


async def _response(session: Session, challenge: auth.Challenge) -> bytes:
    session.say(Reply(334, "", auth.encode(challenge)))
    await session.flush()
    try:
        return await session.wire.line(AUTH_LINE_LIMIT)
    except (LineTooLong, BareLineEnd) as error:
        raise auth.Malformed from error


async def _conclude(
    session: Session, mechanism: auth.Mechanism, outcome: auth.Outcome, policy: Policy
) -> None:
    user = outcome.user.lower()
    asked = AuthFacts(mechanism.value, storable(user), await _is_user(session, outcome))
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


async def _is_user(session: Session, outcome: auth.Outcome) -> bool:
    """Whether the client is the enabled mailbox it claims to be, and asks to be nobody else."""
    if isinstance(outcome, auth.Refused):
        client_ip, user = session.facts.client_ip, ascii(outcome.user)
        log.info("%s of %s from %s: %s", outcome.mechanism, user, client_ip, outcome.reason)
        return False
    if outcome.authorization.lower() not in ("", outcome.user.lower()):
        return False
    if isinstance(outcome, auth.Credentials):
        return await session.house.gate.authenticate(outcome.user, outcome.password)
    return (await session.house.gate.user(outcome.user)).enabled
