"""Step 1: the verbs of a transaction: MAIL, RCPT and DATA (RFC 5321 3.3)."""

from mta import maillog
from mta.ingress import arguments, replies, transaction
from mta.ingress.committer import CommitFailed
from mta.ingress.session import Session, now
from mta.ingress.transaction import Transaction
from mta.ingress.wire import Data
from mta.intake import Arrival
from mta.policy import limits
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.reply import Reply


async def mail(session: Session, argument: str) -> None:
    if not session.facts.helo:
        return session.complain(replies.NEED_HELO)
    if session.transaction is not None:
        return session.complain(replies.NESTED_MAIL)
    given = arguments.parse_mail(argument)
    policy = await session.house.gate.current()
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
    recipient = arguments.parse_rcpt(
        argument, session.house.hostname, smtputf8=current.mail.smtputf8
    )
    decision, _ = await session.reception.recipient(session.facts, current, recipient)
    address = recipient.address
    current.decisions.append(transaction.decision_record(decision, address, now()))
    if not decision.accepted:
        session.refused(decision, address, current.mail.reverse_path)
        return session.complain(decision.reply)
    session.logged(decision, address, current.mail.reverse_path)
    return session.say(decision.reply)


async def data(session: Session, argument: str) -> None:
    current = session.transaction
    if argument:
        return session.complain(replies.NO_ARGUMENT_ALLOWED)
    if current is None:
        return session.complain(replies.NEED_MAIL)
    if not current.accepted:
        return session.complain(replies.NO_VALID_RECIPIENTS)
    session.say(replies.GO_AHEAD)
    await session.flush()
    limit = limits.size_limit(current.facts(session.facts), current.policy)
    received = await session.read_data(limit)
    try:
        await _accept(session, current, received)
    finally:
        session.house.budget.give_back(received.reserved)
        session.end_transaction()
    return None


async def _accept(session: Session, current: Transaction, received: Data) -> None:
    """Judge the content and commit; the 250 is said after the commit and not before."""
    if received.content is None and not received.too_big:
        return session.complain(replies.NO_MEMORY)
    judgement = await session.reception.content(session.facts, current, received)
    decision = judgement.decision
    if judgement.content is None:
        recipients = " ".join(recipient.address for recipient, _ in current.accepted[:20])
        session.refused(decision, recipients, current.mail.reverse_path)
        return session.complain(decision.reply)
    at = now()
    session.logged(decision, "", current.mail.reverse_path)
    current.decisions.append(transaction.decision_record(decision, "", at))
    arrival = Arrival(session.house.ids.next(), at)
    submission = session.reception.submission(
        session.facts, current, judgement.content, arrival, session.history
    )
    try:
        await session.house.committer.commit(submission)
    except CommitFailed:
        return session.say(replies.LOCAL_TROUBLE)
    queue_id = encode_queue_id(submission.id)
    maillog.accepted(
        queue_id=queue_id,
        client_ip=session.facts.client_ip,
        helo=session.facts.helo,
        reverse_path=current.mail.reverse_path,
        recipients=len(submission.recipients),
        size=len(submission.content),
    )
    return session.say(Reply(250, "2.0.0", f"Ok: queued as {queue_id}"))
