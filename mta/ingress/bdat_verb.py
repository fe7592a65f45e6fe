"""Step 1: BDAT, the content in chunks of a given size (RFC 3030 2).

The octets behind a BDAT are read whatever the answer will be; only so is what follows a command
again. Where their number cannot be understood, the session ends.
"""

from mta.ingress import acceptance, arguments, replies
from mta.ingress.arguments import BadArgument
from mta.ingress.server import End
from mta.ingress.session import Session
from mta.ingress.transaction import Transaction
from mta.ingress.wire import Collected
from mta.policy import limits
from mta.protocol.reply import Reply


async def bdat(session: Session, argument: str) -> None:
    try:
        chunk = arguments.parse_bdat(argument)
    except BadArgument as error:
        session.say(error.reply)
        raise End from error
    current = session.transaction
    if current is None or not current.accepted:
        await session.read_chunk(chunk.size, Collected(0, session.house.budget))
        return session.complain(_out_of_order(current))
    if session.chunks is None:
        limit = limits.size_limit(current.facts(session.facts), current.policy)
        session.chunks = Collected(limit, session.house.budget)
    await session.read_chunk(chunk.size, session.chunks)
    if chunk.last or session.chunks.is_lost:
        return await _finish(session, current, session.chunks)
    return session.say(Reply(250, "2.0.0", f"{chunk.size} octets received"))


def _out_of_order(current: Transaction | None) -> Reply:
    """Also what pipelined chunks hear after one that failed: the transaction is over."""
    return replies.NEED_MAIL if current is None else replies.NO_VALID_RECIPIENTS


async def _finish(session: Session, current: Transaction, collected: Collected) -> None:
    """The last chunk, or the first one too many."""
    session.chunks = None
    received = collected.chunked()
    try:
        await acceptance.accept(session, current, received)
    finally:
        session.house.budget.give_back(received.reserved)
        session.end_transaction()
