"""Step 2, after the content: who takes the message, who does not, and how the client hears of it.

A client that gave EXDATA (spec 2.9) or PRDR (draft-hall-prdr) hears one verdict for each recipient
and keeps those who refused. Any other client gets one reply for all of them, so for a recipient
who refuses while others accept, the sender gets a report instead; but when an owner's rule refuses,
nobody gets the message until the client sends to each alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mta.ingress.transaction import Transaction
from mta.policy.decision import Decision, Verdict
from mta.policy.facts import RcptFacts
from mta.policy.mailbox_filter import mailbox_filter_content
from mta.policy.site_filter import PREFIX
from mta.protocol import address as addresses
from mta.protocol import exdata
from mta.protocol.envelope import Recipient
from mta.protocol.exdata import Verdicts
from mta.protocol.reply import Reply

Judged = tuple[Recipient, Decision]

OWNERS_RULE = mailbox_filter_content.__name__

# Of a reply that tells what each recipient says.
MAX_LINES = 20

AT_ODDS = Reply(450, "4.7.1", "the recipients differ about this message, try again later")
NONE_FOR_NOW = Reply(450, "4.0.0", "no recipient takes the message now")
NONE_AT_ALL = Reply(550, "5.0.0", "no recipient takes the message")


@dataclass(frozen=True, slots=True)
class Division:
    """The recipients of one message by what becomes of them.

    `kept` go into the queue. `failed` are reported to the sender. `judged` are all of them, in the
    order of the RCPTs, with their verdicts, and `unwilling` those of them who said no. `at_odds`:
    nobody gets it now, since an owner has refused it and others have not.
    """

    way: Verdicts
    judged: Sequence[Judged]
    kept: list[tuple[Recipient, RcptFacts]]
    unwilling: Sequence[Judged] = ()
    failed: Sequence[Judged] = ()
    at_odds: bool = False

    @property
    def is_taken(self) -> bool:
        return bool(self.kept)

    @property
    def says_each(self) -> bool:
        """Whether the client hears a verdict for each recipient."""
        return self.way is not Verdicts.ONE_FOR_ALL

    @property
    def refusals(self) -> Sequence[Judged]:
        """Those for the record; a recipient who is deferred but queued all the same is none."""
        return self.unwilling if self.says_each or not self.is_taken else self.failed

    @property
    def logged(self) -> list[Judged]:
        """Those accepted although a rule that only logs had something to say."""
        return [
            (each, verdict) for each, verdict in self.judged if verdict.accepted and verdict.logged
        ]

    def common_refusal(self) -> Reply:
        """One reply when nobody takes it: what they all say, or what each of them says."""
        if self.at_odds:
            return AT_ODDS
        replies = {verdict.reply: None for _, verdict in self.judged}
        if self.says_each:
            deferred = any(reply.is_transient for reply in replies)
            return NONE_FOR_NOW if deferred else NONE_AT_ALL
        first = next(iter(replies))
        if len(replies) == 1:
            return first
        lines = [_one_line(*each).text for each in self.judged[:MAX_LINES]]
        return Reply(first.code, first.status, "\n".join(lines))

    def answer(self, final: Reply) -> bytes:
        """What the client reads; `final` is the reply for the message as a whole."""
        if self.way is Verdicts.PRDR:
            return exdata.encode_prdr([_one_line(*each) for each in self.judged], final)
        if self.way is Verdicts.EXDATA and self.unwilling:
            return exdata.encode([_with_name(*each, final) for each in self.judged])
        return final.encode()


def divide(
    current: Transaction, verdicts: Sequence[Decision], *, unasked: bool = False
) -> Division:
    """By the verdicts on each accepted recipient, in their order. A client that did not ask for
    them hears them `unasked` when its access rule says so: Courier's own client never asks."""
    way = _way(current, unasked=unasked)
    recipients = [recipient for recipient, _ in current.accepted]
    if way is Verdicts.ONE_FOR_ALL:
        verdicts = _waiting_together(verdicts)
    judged = list(zip(recipients, verdicts, strict=True))
    unwilling = [each for each in judged if not each[1].accepted]
    if not unwilling:
        return Division(way, judged, current.accepted)
    if way is Verdicts.ONE_FOR_ALL and _at_odds(current, verdicts):
        return Division(way, judged, [], unwilling, at_odds=True)
    takes = {Verdict.ACCEPT}
    if way is Verdicts.ONE_FOR_ALL and len({verdict.verdict for verdict in verdicts}) > 1:
        # Later is not never: the delivery asks again.
        takes = {Verdict.ACCEPT, Verdict.DEFER}
    pairs = zip(current.accepted, verdicts, strict=True)
    kept = [recipient for recipient, verdict in pairs if verdict.verdict in takes]
    failed = [each for each in unwilling if each[1].verdict not in takes]
    told = way is not Verdicts.ONE_FOR_ALL or not kept
    return Division(way, judged, kept, unwilling, () if told else failed)


def _waiting_together(verdicts: Sequence[Decision]) -> Sequence[Decision]:
    """One whom a filter cannot judge now makes all wait: no delivery would ask the filter again."""
    for verdict in verdicts:
        if verdict.verdict is Verdict.DEFER and verdict.rule.startswith(PREFIX):
            return [verdict] * len(verdicts)
    return verdicts


def _at_odds(current: Transaction, verdicts: Sequence[Decision]) -> bool:
    """Whether an owner refuses what somebody else does not, or cannot be asked just now.

    The sender of what an owner refuses is often forged, so that a report would go to somebody
    innocent: the client comes again instead, and is told then to send to each alone
    (`mta.policy.mailbox_filter`). Only a user of ours is sent the report. What an owner could not
    be asked about waits for everybody: no delivery would ask again.
    """
    if len({verdict.verdict for verdict in verdicts}) == 1:
        return False
    counts = {Verdict.DEFER} if current.mail.user else {Verdict.DEFER, Verdict.REFUSE}
    return any(each.rule == OWNERS_RULE and each.verdict in counts for each in verdicts)


def _way(current: Transaction, *, unasked: bool) -> Verdicts:
    if current.parameters.exdata:
        return Verdicts.EXDATA
    if current.parameters.prdr:
        return Verdicts.PRDR
    return Verdicts.EXDATA if unasked else Verdicts.ONE_FOR_ALL


def _one_line(recipient: Recipient, verdict: Decision) -> Reply:
    reply = verdict.reply
    text = f"<{addresses.wire(recipient.address)}>: {reply.text}"
    return Reply(reply.code, reply.status, text)


def _with_name(recipient: Recipient, verdict: Decision, final: Reply) -> Reply:
    """As Courier writes it: who took it gets the reply of the message, the others their name on a
    line of its own."""
    if verdict.accepted:
        return final
    reply = verdict.reply
    text = f"<{addresses.wire(recipient.address)}>:\n{reply.text}"
    return Reply(reply.code, reply.status, text)
