"""Site filter: a Sieve text of the administrator (RFC 5228).

What it asks for is done within the session: `reject` and `ereject` refuse with their text (one that
begins with a code and a status is that reply), `discard` takes the message and delivers it to
nobody, and everything else lets it pass to the next filter: `keep`, `stop`, or the end of the text.
Edits of the header (RFC 5293) go on with the message. Folders, forwards and replies belong to
mailboxes, and are not taken here.

A text that looks at the envelope is asked once for each recipient, since each may hear another
word; all others are asked once.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from mta.filters.base import Option, Trouble
from mta.filters.sieve import actions, syntax
from mta.filters.sieve.actions import Action
from mta.filters.sieve.compiling import compile_script
from mta.filters.sieve.evaluate import Budget, Message, Surroundings, evaluate
from mta.filters.sieve.program import Program
from mta.filters.sieve.syntax import Node, SieveError
from mta.protocol.reply import Reply, refusal
from mta.protocol.site_filter import (
    FilterAction,
    FilterRequest,
    FilterStage,
    FilterTerms,
    FilterVerdict,
)

# Octets to be read, for all recipients, from which on the loop goes on with others meanwhile.
LARGE = 16 * 1024

# Of mailboxes; a site filter has none.
_FOREIGN = frozenset({"fileinto", "redirect", "vacation", "notify", "include"})
_FLAGS = frozenset({"setflag", "addflag", "removeflag"})


class Sieve:
    """A text in the language Sieve: refuses, discards, or changes the header."""

    name = "sieve"
    label = "Sieve text"
    stages = frozenset(FilterStage)
    options: tuple[Option, ...] = ()
    has_text = True

    def check(self, terms: FilterTerms) -> None:
        """Raises ValueError that names line and column."""
        if terms.options:
            raise ValueError(f"a Sieve text has no option {min(terms.options)}")
        if not terms.text.strip():
            raise ValueError("there is no Sieve text")
        try:
            _compiled(terms.text)
        except SieveError as error:
            raise ValueError(str(error)) from error

    async def judge(self, request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
        work = len(request.content or b"") * max(1, len(request.recipients))
        if work <= LARGE:
            return _judge(request, terms)
        return await asyncio.to_thread(_judge, request, terms)


@dataclass(frozen=True, slots=True)
class _Word:
    """What the text says of one recipient; `reply` None and not `discards` is to let it pass."""

    reply: Reply | None = None
    discards: bool = False
    content: bytes | None = None
    line: int = 0


def _judge(request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
    try:
        program = _compiled(terms.text)
    except SieveError as error:
        raise Trouble(str(error)) from error
    asked = _recipients(request, program)
    deadline = time.monotonic() + terms.timeout
    words = {each: _word(program, request, each, deadline) for each in asked}
    first = words[asked[0]]
    if all(word == first for word in words.values()):
        return _verdict(first)
    return _divided(words)


def _recipients(request: FilterRequest, program: Program) -> tuple[str, ...]:
    if request.stage is FilterStage.RECIPIENT:
        return request.recipients[-1:]
    if "envelope" in program.capabilities and request.recipients:
        return request.recipients
    return request.recipients[:1] or ("",)


def _word(program: Program, request: FilterRequest, recipient: str, deadline: float) -> _Word:
    left = deadline - time.monotonic()
    if left <= 0:
        raise Trouble("the text takes too long for so many recipients")
    message = Message(request.content or b"", request.reverse_path or "", recipient)
    surroundings = Surroundings(at=request.at, items=_items(request))
    result = evaluate(program, message, surroundings, Budget(seconds=min(1.0, left)))
    if result.error:
        raise Trouble(result.error)
    word = _of_actions(result.actions)
    if request.stage is FilterStage.CONTENT and result.content is not None:
        return _Word(word.reply, word.discards, result.content, word.line)
    return word


def _of_actions(asked: Iterable[Action]) -> _Word:
    word = _Word()
    for action in asked:
        match action:
            case actions.Reject():
                return _Word(refusal(action.text), line=action.line)
            case actions.Discard():
                word = _Word(discards=True, line=action.line)
            case actions.Keep():
                return _Word(line=action.line)
            case _:
                what = type(action).__name__.lower()
                raise Trouble(f"line {action.line}: a site filter has no mailbox for {what}")
    return word


def _verdict(word: _Word) -> FilterVerdict:
    detail = f"line {word.line}" if word.line else ""
    if word.reply is not None:
        return FilterVerdict(FilterAction.REFUSE, word.reply, detail)
    if word.discards:
        return FilterVerdict(FilterAction.DISCARD, detail=detail)
    return FilterVerdict(detail=detail, content=word.content)


def _divided(words: dict[str, _Word]) -> FilterVerdict:
    """Some recipients refuse and others do not. A message cannot be changed, or discarded, for
    some of them only."""
    refused = {each: word.reply for each, word in words.items() if word.reply is not None}
    others = [word for word in words.values() if word.reply is None]
    if not others:
        return FilterVerdict(refused=refused)
    if any(
        (word.discards, word.content) != (others[0].discards, others[0].content) for word in others
    ):
        raise Trouble("the text changes or discards the message for some recipients only")
    action = FilterAction.DISCARD if others[0].discards else FilterAction.PASS
    return FilterVerdict(action, refused=refused, content=others[0].content)


def _items(request: FilterRequest) -> dict[str, str]:
    """The items of the test `environment` (RFC 5183); one that is not known is not there."""
    items = {
        "domain": request.hostname.partition(".")[2],
        "host": request.hostname,
        "location": "MTA",
        "name": "CourierWeb",
        "phase": "pre",
        "remote-ip": request.client_ip,
        "remote-host": request.helo,
        "vnd.courierweb.auth-user": request.auth_user,
        "vnd.courierweb.source": request.source.value,
        "vnd.courierweb.stage": request.stage.value,
        "vnd.courierweb.listener": request.listener,
        "vnd.courierweb.tls": request.tls,
        "vnd.courierweb.queue-id": request.queue_id,
    }
    return {name: value for name, value in items.items() if value}


@lru_cache(256)
def _compiled(text: str) -> Program:
    """Raises SieveError."""
    program = compile_script(text)
    _refuse_foreign(syntax.parse(text))
    return program


def _refuse_foreign(nodes: Iterable[Node]) -> None:
    for node in _all(nodes):
        if node.name in _FOREIGN:
            raise node.at.error(f'"{node.name}" is for mailboxes, a site filter has none')
        if node.name in _FLAGS:
            raise node.at.error(f'"{node.name}" sets flags in a mailbox, a site filter has none')


def _all(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _all(node.block or ())
