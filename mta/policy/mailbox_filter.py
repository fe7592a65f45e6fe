"""Step 2, what owners of mailboxes say within the session: of a sender at RCPT, of a content after
DATA, and who may share a transaction (spec 6.3).

A transaction without EXDATA or PRDR has one answer for all its recipients, and nobody's refusal
shall become a bounce. So who trusts the sender is not put together with who wants the content
judged: the later one is told 412, and the client comes again with a transaction of its own.

All others go together as long as they agree, which they do about most mail: to keep everybody apart
who has a rule that could refuse would delay ordinary mail for the sake of what may never come. When
they differ about a content, none of them gets it (`mta.ingress.division`): the client is told to
come again, and then who refused is kept apart by 412.

A user who signed in is never told so: mail clients cannot come again, and a report to a user of
ours goes to nobody innocent.
"""

import unicodedata
from collections.abc import Iterable

from mta.policy import answers
from mta.policy.answers import OwnersWord, RefusedBefore
from mta.policy.facts import (
    ContentFacts,
    Facts,
    MailboxRules,
    Policy,
    RcptFacts,
    Stance,
    Standing,
    Taking,
)
from mta.policy.question import Answer, Question
from mta.policy.rule import Finding, Rule, passed, refuse
from mta.protocol import status
from mta.protocol.envelope import Source
from mta.protocol.reply import Reply, parse_reply
from mta.protocol.site_filter import FilterStage, FilterState

_REFUSAL_LINES = 20
_REFUSAL_LINE = 400
# They would say something of the session, or of the verdicts in it, and not of the mail.
_NOT_THE_OWNERS = (421, 530, 535, 558)
NO_RULES = passed("the mailbox has no rules about senders")
_TAKERS = (Standing.MAILBOX, Standing.ACCOUNT, Standing.ALIAS)


@Rule
def mailbox_filter(facts: Facts, policy: Policy) -> Finding:
    """The owner's listing of the sender, else the owner's rules for recipients."""
    rules = _rules(facts)
    if rules is None or not rules.judges_senders:
        return NO_RULES
    return _owners_word(facts, facts.answer(_about_sender(facts, rules)))


@Rule
def mailbox_filter_class(facts: Facts, policy: Policy) -> Finding:
    """Recipients who would be treated differently, and could not be answered apart."""
    rcpt = _rcpt(facts)
    if not rcpt.company:
        return passed("the first recipient")
    if facts.session.auth_user:
        return passed("a user is told by a report")
    if rcpt.heard_alone or policy.terms_for(facts.session.client_ip, facts.session.listener).exdata:
        return passed("the client hears of each recipient alone")
    own = stance(facts)
    other = next((each for each in rcpt.company if _differ(own, each, policy)), None)
    if other is None:
        return _kept_apart(facts, own)
    text = f"another transaction, please: {_TOLD[own.taking]}, an earlier recipient's is not"
    detail = f"{own.taking} in the company of {other.taking}"
    return refuse(detail, 412, status.with_class(status.TOO_MANY_RECIPIENTS, "4"), text)


@Rule
def mailbox_filter_content(facts: Facts, policy: Policy) -> Finding:
    """What the owner's rules refuse of the content; all else they say is done at delivery."""
    rcpt, rules = _rcpt(facts), _rules(facts)
    if rules is None or not rcpt.stance.may_refuse:
        return passed("the mailbox refuses no content")
    return _owners_word(facts, facts.answer(_about_content(facts, rules)))


def stance(facts: Facts) -> Stance:
    """How the recipient in question takes this sender's mail. Its sender was judged."""
    rules, given = _rules(facts), _rcpt(facts).resolution.address
    if rules is None:
        return Stance()
    word: str = OwnersWord.NOTHING
    if rules.judges_senders:
        word = facts.answer(_about_sender(facts, rules)).word
    if word == OwnersWord.TAKE:
        return Stance(Taking.TRUSTED, rules.mailbox, given)
    is_judged = rules.may_refuse or word == OwnersWord.JUDGE
    taking = Taking.JUDGED if is_judged else Taking.UNRULED
    return Stance(taking, rules.mailbox, given, rules.may_refuse)


def owners_reply(text: str, *, utf8: bool) -> Reply:
    """An owner's words as a reply; a code and a status at their beginning count.

    They are bounded, and of ASCII unless the client understands more (RFC 6531 3.7.4.2).
    """
    lines = [_safe(line, utf8=utf8) for line in _lines(text)] or ["not permitted"]
    code = lines[0][:3]
    if code.isascii() and code.isdecimal() and code[0] in "45" and lines[0][3:4] in ("", " ", "-"):
        # A program writes it before each line, as SMTP does.
        lines = [line[4:].lstrip() if line.startswith(code) else line for line in lines]
    else:
        code = "550"
    number = int(code) if int(code) not in _NOT_THE_OWNERS else int(code[0]) * 100 + 50
    reply = parse_reply(number, lines)
    own = status.with_class(status.NOT_PERMITTED, code[0])
    return Reply(number, reply.status or own, reply.text.strip() or "not permitted")


def _kept_apart(facts: Facts, own: Stance) -> Finding:
    """Who has refused what this sender sent stands alone: this time all might differ again."""
    assert facts.mail is not None
    others = [each for each in _rcpt(facts).company if each.mailbox != own.mailbox]
    asked = tuple(each.recipient for each in (own, *others) if each.may_refuse)
    if not others or not asked:
        return passed("it is treated as those before it")
    answer = facts.answer(
        answers.refused_before(facts.mail.reverse_path, facts.session.client_ip, asked)
    )
    if answer.word != RefusedBefore.YES:
        return passed("none of them has refused this sender's mail lately")
    text = "another transaction, please: the recipients differ about mail of this sender"
    detail = f"{answer.text} has refused this sender's mail lately"
    return refuse(detail, 412, status.with_class(status.TOO_MANY_RECIPIENTS, "4"), text)


_TOLD = {
    Taking.TRUSTED: "this recipient's mail is taken unseen",
    Taking.JUDGED: "this recipient's mail is judged by its content",
}


def _owners_word(facts: Facts, answer: Answer) -> Finding:
    if answer.is_trouble:
        text = "the rules of the mailbox cannot be asked now, try again later"
        return refuse(answer.text, 451, status.LOCAL_ERROR, text)
    if answer.word != OwnersWord.REFUSE:
        return passed(answer.text)
    assert facts.mail is not None
    reply = owners_reply(answer.values[0], utf8=facts.mail.smtputf8)
    return Finding(answer.text, answered=True, reply=reply)


def _differ(one: Stance, other: Stance, policy: Policy) -> bool:
    """Whether one of the two is trusted and the other judged, by its owner or by filters that are
    asked only for those who want them."""
    judged = [each for each in (one, other) if each.taking is Taking.JUDGED]
    if {one.taking, other.taking} != {Taking.TRUSTED, Taking.JUDGED}:
        return False
    return judged[0].may_refuse or _has_optional_filters(policy)


def _has_optional_filters(policy: Policy) -> bool:
    return any(
        not terms.mandatory
        and terms.stage is FilterStage.CONTENT
        and terms.state is FilterState.ENFORCE
        and Source.ESMTP in terms.sources
        for terms in policy.site_filters
    )


def _lines(text: str) -> Iterable[str]:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").strip().split("\n")
    return lines[:_REFUSAL_LINES] if text.strip() else []


def _safe(line: str, *, utf8: bool) -> str:
    if not utf8 and not line.isascii():
        apart = unicodedata.normalize("NFKD", line)
        bare = "".join(char for char in apart if not unicodedata.combining(char))
        line = bare.encode("ascii", "replace").decode()
    return line.encode("utf-8", "replace")[:_REFUSAL_LINE].decode("utf-8", "ignore")


def _rules(facts: Facts) -> MailboxRules | None:
    resolution = _rcpt(facts).resolution
    return resolution.rules if resolution.standing in _TAKERS else None


def _about_sender(facts: Facts, rules: MailboxRules) -> Question:
    assert facts.mail is not None
    return answers.mailbox_sender(
        rules.mailbox,
        _rcpt(facts).resolution.address,
        facts.mail.reverse_path,
        facts.session.client_ip,
        facts.session.helo,
    )


def _about_content(facts: Facts, rules: MailboxRules) -> Question:
    assert facts.mail is not None
    return answers.mailbox_content(
        rules.mailbox,
        _rcpt(facts).resolution.address,
        facts.mail.reverse_path,
        facts.session.client_ip,
        facts.session.helo,
        _content(facts).arrival,
    )


def _rcpt(facts: Facts) -> RcptFacts:
    assert facts.rcpt is not None
    return facts.rcpt


def _content(facts: Facts) -> ContentFacts:
    assert facts.content is not None
    return facts.content
