"""Steps 1 to 4, the end of a message: it is judged, committed, and only then answered.

DATA and BDAT both end here. The recipients who were accepted may still differ about the content;
what becomes of it then is in `mta.ingress.division`.
"""

from dataclasses import replace

from mta import maillog
from mta.ingress import keeping, replies, transaction
from mta.ingress.committer import CommitFailed
from mta.ingress.division import Division, divide
from mta.ingress.reception import Judgement
from mta.ingress.session import Session
from mta.ingress.transaction import Transaction
from mta.ingress.wire import Data
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.reply import Reply
from mta.queue.commit import Submission, failed_recipient


async def accept(session: Session, current: Transaction, received: Data) -> None:
    """Judge the content and commit; the 250 is said after the commit and not before."""
    if received.content is None and not received.too_big:
        return session.complain(replies.NO_MEMORY)
    judgement = await session.reception.content(session.facts, current, received)
    if judgement.content is None:
        return _refuse(session, current, judgement, received.content)
    terms = current.policy.terms_for(session.facts.client_ip, session.facts.listener)
    division = divide(current, judgement.verdicts, unasked=terms.exdata)
    if not division.is_taken:
        return _nobody_takes_it(session, current, judgement, division)
    submission = _submission(session, current, judgement, judgement.content, division)
    try:
        await session.house.committer.commit(submission)
    except CommitFailed as failed:
        return session.say(replies.NO_STORAGE if failed.no_storage else replies.LOCAL_TROUBLE)
    session.patience.accepted()
    _log_accepted(session, current, submission)
    _put_on_record(session, current, judgement, division, submission.id)
    queued = Reply(250, "2.0.0", f"Ok: queued as {encode_queue_id(submission.id)}")
    return session.say_encoded(division.answer(queued))


def _refuse(
    session: Session, current: Transaction, judgement: Judgement, content: bytes | None
) -> None:
    """The content as such is refused; it is None when it was too big to be read."""
    decision = judgement.decision
    kept = keeping.keep(session, current, [decision], content, judgement.arrival)
    recipients = " ".join(recipient.address for recipient, _ in current.accepted[:20])
    session.refused(decision, recipients, current.mail.reverse_path, content_id=kept)
    session.complain(decision.reply)


def _nobody_takes_it(
    session: Session, current: Transaction, judgement: Judgement, division: Division
) -> None:
    _put_on_record(session, current, judgement, division, None)
    if division.says_each:
        return session.say_encoded(division.answer(division.common_refusal()))
    return session.complain(division.common_refusal())


def _submission(
    session: Session,
    current: Transaction,
    judgement: Judgement,
    content: bytes,
    division: Division,
) -> Submission:
    """The message as it will be committed: for those who take it, and with those who do not but
    whose sender can only be told by a report."""
    at = judgement.arrival.at
    session.logged(judgement.decision, "", current.mail.reverse_path)
    current.decisions.append(transaction.decision_record(judgement.decision, "", at))
    for recipient, verdict in division.unwilling:
        record = transaction.decision_record(verdict, recipient.address, at)
        current.decisions.append(record)
    taken = current
    if division.unwilling:
        taken = replace(current, accepted=division.kept)
    submission = session.reception.submission(
        session.facts, taken, content, judgement.arrival, session.history, judgement.filtered
    )
    if not division.failed:
        return submission
    failed = [failed_recipient(recipient, each.reply, at) for recipient, each in division.failed]
    return replace(submission, recipients=(*submission.recipients, *failed))


def _put_on_record(
    session: Session,
    current: Transaction,
    judgement: Judgement,
    division: Division,
    message_id: int | None,
) -> None:
    """What recipients said who do not take the message, and what rules that only log said."""
    reverse_path = current.mail.reverse_path
    decisions = [verdict for _, verdict in division.refusals]
    kept = keeping.keep(session, current, decisions, judgement.content, judgement.arrival)
    for recipient, verdict in division.refusals:
        session.refused(verdict, recipient.address, reverse_path, message_id, kept)
    for recipient, verdict in division.logged:
        session.logged(verdict, recipient.address, reverse_path)


def _log_accepted(session: Session, current: Transaction, submission: Submission) -> None:
    maillog.accepted(
        queue_id=encode_queue_id(submission.id),
        client_ip=session.facts.client_ip,
        helo=session.facts.helo,
        reverse_path=current.mail.reverse_path,
        recipients=len(submission.recipients),
        size=len(submission.content),
    )
