"""Rules that ask the administrator's filters; what these say is an answer like any other.

They stand behind all other rules that may refuse, since a filter costs more than they do. Where
no filter is asked for a stage and a source, nothing is asked.
"""

from mta.policy import answers, relay
from mta.policy.facts import Facts, Policy, Standing
from mta.policy.question import Question
from mta.policy.rule import Finding, Rule, Word, passed
from mta.protocol import filter_words
from mta.protocol.filter_words import ChainVerdict, FilterWord
from mta.protocol.site_filter import FilterAction, FilterStage, FilterState

PREFIX = "site_filter:"

# Recipients whom the rules behind refuse, whatever a filter says.
_NOBODY = frozenset(
    {
        Standing.UNKNOWN,
        Standing.UNANSWERED,
        Standing.DISABLED,
        Standing.LOOP,
        Standing.BAD_RETURN_PATH,
    }
)
_NONE = passed("no site filter is asked")


@Rule
def site_filter_connect(facts: Facts, policy: Policy) -> Finding:
    """The site filters that judge a client when it connects."""
    return _asked(FilterStage.CONNECT, facts, policy)


@Rule
def site_filter_sender(facts: Facts, policy: Policy) -> Finding:
    """The site filters that judge the sender of a message."""
    return _asked(FilterStage.SENDER, facts, policy)


@Rule
def site_filter_recipient(facts: Facts, policy: Policy) -> Finding:
    """The site filters that judge a recipient; those who are refused anyway are not asked about."""
    assert facts.rcpt is not None
    standing = facts.rcpt.resolution.standing
    if not policy.site_filters:
        return _NONE
    is_stranger = standing is Standing.FOREIGN and not relay.is_one_of_us(facts, policy)
    if is_stranger or standing in _NOBODY:
        return passed("the recipient is refused anyway")
    return _asked(FilterStage.RECIPIENT, facts, policy)


@Rule
def site_filter_content(facts: Facts, policy: Policy) -> Finding:
    """The site filters that judge the message itself."""
    return _asked(FilterStage.CONTENT, facts, policy)


@Rule
def site_filter_verdict(facts: Facts, policy: Policy) -> Finding:
    """What the filters of the content said of one recipient alone."""
    assert facts.rcpt is not None
    answer = facts.answers.get(question(FilterStage.CONTENT, facts))
    if answer is None or answer.chain is None:
        return _NONE
    refused = answer.chain.refused.get(facts.rcpt.address)
    if refused is None:
        return passed("no site filter refuses this recipient")
    detail = refused.detail or str(refused.reply)
    return Finding(detail, answered=True, reply=refused.reply, by=PREFIX + refused.filter)


def question(stage: FilterStage, facts: Facts) -> Question:
    """What is asked at a stage; the recipient in question, and how many there were before."""
    if stage is not FilterStage.RECIPIENT:
        return answers.site_filters(stage)
    assert facts.rcpt is not None
    return answers.site_filters(stage, f"{facts.rcpt.earlier} {facts.rcpt.resolution.address}")


def _asked(stage: FilterStage, facts: Facts, policy: Policy) -> Finding:
    if not policy.filters_at(stage, facts.session.source):
        return _NONE
    answer = facts.answer(question(stage, facts))
    return found(answer.chain or ChainVerdict())


def found(chain: ChainVerdict) -> Finding:
    """The finding of a rule whose filters said so."""
    refusal = chain.refusal
    decisive = refusal.filter if refusal else ""
    words = tuple(_word(each) for each in chain.words if each.name != decisive)
    if refusal is None:
        return Finding(f"{len(words)} site filters asked", words=words)
    last = next(each for each in chain.words if each.name == decisive)
    return Finding(
        sentence(last), answered=True, reply=refusal.reply, words=words, by=PREFIX + decisive
    )


def _word(word: FilterWord) -> Word:
    """What a filter in force refuses is the finding itself; here stands what was only logged."""
    only_logs = word.state is FilterState.LOG
    matched = word.verdict not in (FilterAction.PASS, filter_words.NOT_ASKED)
    return Word(PREFIX + word.name, matched, sentence(word), word.reply if only_logs else None)


def sentence(word: FilterWord) -> str:
    """ "sieve says refuse after 3 ms: line 4" """
    logged = "only logged: " if word.state is FilterState.LOG else ""
    if word.verdict == filter_words.NOT_ASKED:
        return f"{word.kind} not asked: {word.detail}"
    said = f"{logged}{word.kind} says {word.verdict} after {word.milliseconds} ms"
    return f"{said}: {word.detail}" if word.detail else said
