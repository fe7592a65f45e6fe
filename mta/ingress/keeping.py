"""The content of refused mail, kept so that an administrator may take it after all.

Only what is refused at the end of DATA has a content. Nothing of this is in the way of the reply.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta

from mta import intake
from mta.ingress import transaction
from mta.ingress.session import Session
from mta.ingress.transaction import Transaction
from mta.policy.decision import Decision
from mta.policy.facts import Keeping
from mta.queue.refused_content import KeptContent

# How the names of the rules begin by which filters refuse.
FILTERS = ("site_filter", "mailbox_filter")


def keep(
    session: Session,
    current: Transaction,
    decisions: Sequence[Decision],
    content: bytes | None,
    arrival: intake.Arrival,
) -> int | None:
    """Keep what these decisions refuse, if that is wanted; gives the id for the record."""
    wanted = current.policy.keeping
    if content is None or not _is_kept(decisions, wanted):
        return None
    kept = KeptContent(
        id=arrival.id,
        expires_at=arrival.at + timedelta(seconds=wanted.seconds),
        envelope=asdict(current.envelope(session.facts)),
        content=transaction.traced(current, session.facts, content, arrival),
        most=wanted.octets,
    )
    if kept.size > wanted.octets or not session.house.committer.keep(kept):
        return None
    return kept.id


def _is_kept(decisions: Sequence[Decision], wanted: Keeping) -> bool:
    if not wanted.seconds:
        return False
    rules = [decision.rule for decision in decisions]
    return any(rule.startswith(FILTERS) for rule in rules) if wanted.filters_only else bool(rules)
