"""Step 3: the filters of one stage are asked in their order, and what they say is put together.

Time limits, states and trouble are looked after here, so that a kind only has to judge. What a
filter in the state `log` says has no effect, and is told all the same.
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import replace

from mta.filters import registry
from mta.filters.base import Trouble
from mta.filters.registry import Registry
from mta.protocol import filter_words
from mta.protocol.filter_words import ChainVerdict, Disposition, FilterWord, Refused
from mta.protocol.reply import Reply
from mta.protocol.site_filter import (
    FilterAction,
    FilterRequest,
    FilterStage,
    FilterState,
    FilterTerms,
    FilterVerdict,
    OnTrouble,
)

logger = logging.getLogger(__name__)

UNCHECKED = Reply(451, "4.7.1", "the mail cannot be checked now, try again later")
# Of what a filter says about itself; it is somebody else's text.
MOST_DETAIL = 500


async def run(
    terms: Iterable[FilterTerms],
    request: FilterRequest,
    *,
    unseen: frozenset[str] = frozenset(),
    kinds: Registry = registry.kinds,
) -> ChainVerdict:
    """What each filter said, and what follows from all of it. Never raises for a filter's fault.

    `unseen` are the recipients whose own rules took the mail unseen: filters that are not
    mandatory have no word on them.
    """
    course = _Course(request, unseen, kinds)
    for each in terms:
        if each.state is FilterState.OFF:
            continue
        await course.ask(each)
        if course.is_over:
            break
    return course.verdict()


class _Course:
    """One walk along the chain; `request` changes with what the filters put in place of it."""

    def __init__(self, request: FilterRequest, unseen: frozenset[str], kinds: Registry) -> None:
        self.request = request
        self.unseen = unseen
        self.kinds = kinds
        self.is_over = False
        self._words: list[FilterWord] = []
        self._refusal: Refused | None = None
        self._refused: dict[str, Refused] = {}
        self._dispositions: list[Disposition] = []
        self._content: bytes | None = None

    def verdict(self) -> ChainVerdict:
        return ChainVerdict(
            words=tuple(self._words),
            refusal=self._refusal,
            refused=self._refused,
            dispositions=tuple(self._dispositions),
            content=self._content,
        )

    async def ask(self, terms: FilterTerms) -> None:
        request = self._request_for(terms)
        if self.request.recipients and not request.recipients:
            detail = "every recipient's own rules took the mail unseen"
            return self._note(terms, filter_words.NOT_ASKED, detail)
        started = time.monotonic()
        try:
            said = _checked(await _answer(terms, request, self.kinds), request)
        except Trouble as trouble:
            self._in_trouble(terms, request, str(trouble), _since(started))
        else:
            self._heard(terms, request, said, _since(started))
        return None

    def _request_for(self, terms: FilterTerms) -> FilterRequest:
        """What it is asked about: those who are refused already are nobody's business any more."""
        left_out = self._refused.keys() | (set() if terms.mandatory else self.unseen)
        if not left_out:
            return self.request
        recipients = tuple(each for each in self.request.recipients if each not in left_out)
        return replace(self.request, recipients=recipients)

    def _in_trouble(
        self, terms: FilterTerms, request: FilterRequest, text: str, milliseconds: int
    ) -> None:
        reply = UNCHECKED if terms.on_trouble is OnTrouble.DEFER else None
        self._note(terms, filter_words.TROUBLE, text, milliseconds, reply)
        if reply is not None and terms.state is FilterState.ENFORCE:
            self._refuse(terms, request, reply, text)

    def _heard(
        self, terms: FilterTerms, request: FilterRequest, said: FilterVerdict, milliseconds: int
    ) -> None:
        alone = next(iter(said.refused.values()), None)
        reply = said.reply if said.action is FilterAction.REFUSE else alone
        detail = said.detail or _about(said)
        self._note(terms, said.action.value, detail, milliseconds, reply)
        if terms.state is FilterState.ENFORCE:
            self._follow(terms, request, said)

    def _follow(self, terms: FilterTerms, request: FilterRequest, said: FilterVerdict) -> None:
        if said.content is not None:
            self._content = said.content
            self.request = replace(self.request, content=said.content)
        for address, reply in said.refused.items():
            self._refused[address] = Refused(terms.name, reply, said.detail)
        match said.action:
            case FilterAction.REFUSE:
                assert said.reply is not None
                self._refuse(terms, request, said.reply, said.detail)
            case FilterAction.HOLD | FilterAction.DISCARD:
                self._dispositions.append(self._disposition(terms, said))
        ends = said.action in (FilterAction.ACCEPT, FilterAction.DISCARD)
        self.is_over = self.is_over or ends or self._nobody_is_left()

    def _disposition(self, terms: FilterTerms, said: FilterVerdict) -> Disposition:
        spared = frozenset() if terms.mandatory else self.unseen
        return Disposition(said.action, terms.name, said.detail, said.release_after, spared)

    def _refuse(
        self, terms: FilterTerms, request: FilterRequest, reply: Reply, detail: str
    ) -> None:
        """All of the mail, or those recipients whom this filter has a word on."""
        refused = Refused(terms.name, reply, detail)
        if not terms.mandatory and self.unseen and request.stage is FilterStage.CONTENT:
            self._refused.update(dict.fromkeys(request.recipients, refused))
            self.is_over = self._nobody_is_left()
            return
        self._refusal = refused
        self.is_over = True

    def _nobody_is_left(self) -> bool:
        everybody = self.request.recipients
        return bool(everybody) and self._refused.keys() >= set(everybody)

    def _note(
        self,
        terms: FilterTerms,
        verdict: str,
        detail: str,
        milliseconds: int = 0,
        reply: Reply | None = None,
    ) -> None:
        shown = " ".join(detail.split())[:MOST_DETAIL]
        word = FilterWord(terms.name, terms.kind, terms.state, verdict, shown, milliseconds, reply)
        self._words.append(word)


async def _answer(terms: FilterTerms, request: FilterRequest, kinds: Registry) -> FilterVerdict:
    """Raises Trouble, whatever the filter does, but for the session's own end."""
    kind = kinds.find(terms.kind)
    try:
        async with asyncio.timeout(terms.timeout) as limit:
            return await kind.judge(request, terms)
    except Trouble:
        raise
    except TimeoutError as error:
        if limit.expired():
            raise Trouble(f"no answer within {terms.timeout:g} s") from error
        raise Trouble(str(error) or "no answer in time") from error
    except OSError as error:
        raise Trouble(str(error)) from error
    except Exception as error:  # a bug of a filter is that filter's trouble and nobody else's
        logger.exception("the site filter %s (%s) failed", terms.name, terms.kind)
        raise Trouble(f"the filter failed: {type(error).__name__}") from error


def _checked(said: object, request: FilterRequest) -> FilterVerdict:
    """The verdict if it can be followed. Raises Trouble for nonsense."""
    if not isinstance(said, FilterVerdict):
        raise Trouble(f"the filter answered {type(said).__name__} in place of a verdict")
    if said.action is FilterAction.REFUSE and (said.reply is None or said.reply.code < 400):
        raise Trouble("the filter refuses and gives no reply for it")
    if request.stage is FilterStage.CONNECT and said.action in (
        FilterAction.HOLD,
        FilterAction.DISCARD,
    ):
        raise Trouble(f"there is nothing to {said.action} when a client connects")
    if request.stage is not FilterStage.CONTENT and (said.content is not None or said.refused):
        raise Trouble("the filter judges a content that it was not asked about")
    if not said.refused.keys() <= set(request.recipients):
        raise Trouble("the filter refuses recipients that it was not asked about")
    if any(reply.code < 400 for reply in said.refused.values()):
        raise Trouble("the filter refuses recipients and gives no reply for it")
    if said.content is not None and not _is_in_wire_form(said.content):
        raise Trouble("the filter's message has lines that do not end in CRLF")
    return said


def _is_in_wire_form(content: bytes) -> bool:
    line_ends = content.count(b"\r\n")
    clean = content.count(b"\n") == line_ends == content.count(b"\r")
    return clean and content.endswith(b"\r\n")


def _about(said: FilterVerdict) -> str:
    """In place of words of its own."""
    about = []
    if said.reply is not None:
        about.append(str(said.reply))
    if said.refused:
        about.append(f"{len(said.refused)} recipients refused")
    if said.content is not None:
        about.append("the message is changed")
    return ", ".join(about)


def _since(started: float) -> int:
    """Milliseconds."""
    return round((time.monotonic() - started) * 1000)
