"""Step 1: the verbs of a transaction: MAIL, RCPT and DATA (RFC 5321 3.3)."""

from mta.ingress import acceptance, arguments, replies, transaction
from mta.ingress.session import Session, now
from mta.policy import limits


async def mail(session: Session, argument: str) -> None:
    if not session.facts.helo:
        return session.complain(replies.NEED_HELO)
    if session.transaction is not None:
        return session.complain(replies.NESTED_MAIL)
    given = arguments.parse_mail(argument)
    if given.parameters.requiretls and not session.facts.tls:
        return session.complain(replies.REQUIRETLS_IN_CLEAR)
    policy = await session.house.gate.current()
    if not session.house.has_room():
        return session.say(replies.NO_STORAGE)
    reverse_path = given.facts.reverse_path
    decision, _, opened = await session.reception.open(session.facts, given, policy)
    if not decision.accepted:
        session.refused(decision, "", reverse_path)
        return session.complain(decision.reply)
    session.logged(decision, "", reverse_path)
    opened.decisions.append(transaction.decision_record(decision, reverse_path, now()))
    session.transaction = opened
    return session.say(decision.reply)


async def rcpt(session: Session, argument: str) -> None:
    current = session.transaction
    if current is None:
        return session.complain(replies.NEED_MAIL)
    if session.chunks is not None:
        return session.complain(replies.BDAT_BEGUN)
    recipient = arguments.parse_rcpt(
        argument, session.house.hostname, smtputf8=current.mail.smtputf8
    )
    decision, _ = await session.reception.recipient(session.facts, current, recipient)
    address = recipient.address
    current.decisions.append(transaction.decision_record(decision, address, now()))
    if not decision.accepted:
        session.refused(decision, address, current.mail.reverse_path)
        return session.refuse_recipient(decision.reply)
    session.logged(decision, address, current.mail.reverse_path)
    return session.say(decision.reply)


async def data(session: Session, argument: str) -> None:
    current = session.transaction
    if argument:
        return session.complain(replies.NO_ARGUMENT_ALLOWED)
    if current is None:
        return session.complain(replies.NEED_MAIL)
    if session.chunks is not None:
        return session.complain(replies.BDAT_BEGUN)
    if not current.accepted:
        return session.complain(replies.NO_VALID_RECIPIENTS)
    session.say(replies.GO_AHEAD)
    await session.flush()
    limit = limits.size_limit(current.facts(session.facts), current.policy)
    received = await session.read_data(limit)
    try:
        await acceptance.accept(session, current, received)
    finally:
        session.house.budget.give_back(received.reserved)
        session.end_transaction()
    return None
