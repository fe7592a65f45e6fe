"""Step 1: AUTH (RFC 4954). The mechanisms are in `mta.ingress.auth`."""

import asyncio
from dataclasses import replace
from functools import partial

from mta.ingress import auth, replies, sign_in
from mta.ingress.server import End
from mta.ingress.session import Session
from mta.ingress.wire import BareLineEnd, LineTooLong
from mta.policy import sender
from mta.policy.facts import AuthFacts, Facts, Policy
from mta.protocol import channel_binding
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
        exchange = auth.start(mechanism, first, _channel(session))
        outcome = await sign_in.carry_out(exchange, session.house.gate, partial(_response, session))
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


async def _response(session: Session, challenge: auth.Challenge) -> bytes | None:
    """What the client says to it, None when it cancels with "*"."""
    session.say(Reply(334, "", auth.encode(challenge)))
    await session.flush()
    try:
        line = await session.wire.line(AUTH_LINE_LIMIT)
    except (LineTooLong, BareLineEnd) as error:
        raise auth.Malformed from error
    return None if line == b"*" else auth.decode(line)


async def _conclude(
    session: Session, mechanism: auth.Mechanism, outcome: auth.Outcome, policy: Policy
) -> None:
    user = outcome.user.lower()
    accepted = await sign_in.is_user(outcome, session.house.gate, session.facts.client_ip)
    asked = AuthFacts(mechanism.value, storable(user), accepted)
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
