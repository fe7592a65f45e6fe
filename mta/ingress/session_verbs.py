"""Step 1: the verbs around a transaction: HELO, EHLO, STARTTLS, RSET, NOOP, QUIT, VRFY, HELP."""

from dataclasses import replace

from mta.ingress import arguments, auth, replies
from mta.ingress.server import End
from mta.ingress.session import Session
from mta.policy import limits, sender
from mta.policy.facts import Facts
from mta.protocol.reply import Reply


async def helo(session: Session, argument: str) -> None:
    if await _hello(session, argument, esmtp=False):
        session.say(Reply(250, "", session.house.hostname))


async def ehlo(session: Session, argument: str) -> None:
    if await _hello(session, argument, esmtp=True):
        session.say(Reply(250, "", "\n".join([session.house.hostname, *_extensions(session)])))


async def starttls(session: Session, argument: str) -> None:
    """RFC 3207: what came in clear before is forgotten, and so is the greeting."""
    if argument:
        return session.complain(replies.NO_ARGUMENT_ALLOWED)
    if session.facts.tls:
        return session.complain(replies.TLS_ACTIVE)
    if session.house.tls is None:
        return session.complain(replies.TLS_UNAVAILABLE)
    session.say(replies.TLS_READY)
    await session.flush()
    await session.start_tls(session.house.tls)
    session.end_transaction()
    session.history = session.history[:1]
    return None


async def rset(session: Session, argument: str) -> None:
    if argument:
        return session.complain(replies.NO_ARGUMENT_ALLOWED)
    session.end_transaction()
    return session.say(replies.OK)


async def noop(session: Session, argument: str) -> None:
    session.say(replies.OK)


async def quit_(session: Session, argument: str) -> None:
    if argument:
        return session.complain(replies.NO_ARGUMENT_ALLOWED)
    session.say(replies.BYE)
    raise End


async def vrfy(session: Session, argument: str) -> None:
    session.say(replies.CANNOT_VERIFY)


async def help_(session: Session, argument: str) -> None:
    session.say(replies.HELP)


async def not_implemented(session: Session, argument: str) -> None:
    session.complain(replies.NOT_IMPLEMENTED)


async def _hello(session: Session, argument: str, *, esmtp: bool) -> bool:
    """HELO and EHLO also end a transaction (RFC 5321 4.1.4)."""
    name = arguments.parse_hello(argument)
    session.end_transaction()
    session.facts = replace(session.facts, helo=name, esmtp=esmtp)
    decision, _ = await session.reception.hello(session.facts, session.house.gate.policy)
    if decision.accepted:
        session.history = session.history[:1]
        session.remember(decision, name)
    else:
        session.refused(decision, "")
        session.complain(decision.reply)
    return decision.accepted


def _extensions(session: Session) -> list[str]:
    policy = session.house.gate.policy
    facts = Facts(session=session.facts)
    lines = ["PIPELINING", f"SIZE {limits.size_limit(facts, policy)}", "8BITMIME", "SMTPUTF8"]
    lines += ["ENHANCEDSTATUSCODES", "DSN"]
    if not session.facts.tls and session.house.tls is not None:
        lines.append("STARTTLS")
    if sender.may_authenticate(facts, policy):
        lines.append(f"AUTH {' '.join(auth.MECHANISMS)}")
    return lines
