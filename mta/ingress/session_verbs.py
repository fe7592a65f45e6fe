"""Step 1: the verbs around a transaction: HELO, EHLO, STARTTLS, RSET, NOOP, QUIT, HELP."""

from dataclasses import replace

from mta.ingress import arguments, auth_verb, replies, tls
from mta.ingress.server import End
from mta.ingress.session import Session
from mta.policy import limits
from mta.policy.facts import Facts, MailFacts, Policy
from mta.protocol.reply import Reply


async def helo(session: Session, argument: str) -> None:
    if await _hello(session, argument, esmtp=False):
        session.say(Reply(250, "", session.house.hostname))


async def ehlo(session: Session, argument: str) -> None:
    if await _hello(session, argument, esmtp=True):
        lines = [session.house.hostname, *await _extensions(session)]
        session.say(Reply(250, "", "\n".join(lines)))


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
    await session.start_tls(tls.for_listener(session.house.tls, session.listener))
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


async def _extensions(session: Session) -> list[str]:
    policy = session.house.gate.policy
    size = await _size_limit(session, policy)
    lines = ["PIPELINING", f"SIZE {size}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "DSN"]
    lines += ["CHUNKING", "PRDR", "XVERP=Courier", "XEXDATA"]
    if session.facts.tls:
        # Only where the promise has been kept so far (RFC 8689 2).
        lines.append("REQUIRETLS")
    elif session.house.tls is not None:
        lines.append("STARTTLS")
    if mechanisms := auth_verb.offered(session, policy):
        lines.append(f"AUTH {' '.join(mechanisms)}")
    return lines


async def _size_limit(session: Session, policy: Policy) -> int:
    """That of the user once there is one, else that of the network and listener."""
    facts = Facts(session=session.facts)
    if session.facts.auth_user:
        user = await session.house.gate.user(session.facts.auth_user)
        facts = replace(facts, mail=MailFacts("", user=user))
    return limits.size_limit(facts, policy)
