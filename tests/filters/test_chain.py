"""The chain of site filters: order, states, trouble, and what follows from all words together."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from mta.filters import chain
from mta.filters.base import Trouble
from mta.protocol.envelope import Source
from mta.protocol.filter_words import ChainVerdict
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
from tests.support.filter_kinds import Kinds, Told, hangs, passes

NO = Reply(550, "5.7.1", "we do not want this")
LATER = Reply(450, "4.7.1", "not now")
ANN, BOB = "ann@example.test", "bob@example.test"
CONTENT = b"Subject: hello\r\n\r\nworld\r\n"


@pytest.fixture
def kinds() -> Kinds:
    return Kinds({})


def terms(name: str, **changes: Any) -> FilterTerms:
    values = {"kind": name, "stage": FilterStage.CONTENT, "state": FilterState.ENFORCE}
    return FilterTerms(name, **{**values, **changes})


def request(**changes: Any) -> FilterRequest:
    values = {"reverse_path": "x@example.org", "recipients": (ANN, BOB), "content": CONTENT}
    values = {"stage": FilterStage.CONTENT, **values, **changes}
    return FilterRequest(source=Source.ESMTP, hostname="mail.example.test", **values)


def run(
    kinds: Kinds,
    rows: Sequence[FilterTerms],
    asked: FilterRequest | None = None,
    unseen: Sequence[str] = (),
) -> ChainVerdict:
    asked = asked or request()
    return asyncio.run(chain.run(rows, asked, unseen=frozenset(unseen), kinds=kinds))


def refuses(kinds: Kinds, name: str, reply: Reply | None = NO) -> Told:
    return kinds.add(name, lambda *_: FilterVerdict(FilterAction.REFUSE, reply, "I say so"))


def words(said: ChainVerdict) -> list[tuple[str, str]]:
    return [(word.name, word.verdict) for word in said.words]


def test_the_first_refusal_ends_the_chain(kinds):
    kinds.add("one", passes)
    refuses(kinds, "two")
    never = kinds.add("three", passes)
    said = run(kinds, [terms("one"), terms("two"), terms("three")])
    assert words(said) == [("one", "pass"), ("two", "refuse")]
    assert said.refusal is not None
    assert (said.refusal.filter, said.refusal.reply) == ("two", NO)
    assert never.asked == []


def test_accept_asks_no_further_filter(kinds):
    kinds.add("one", lambda *_: FilterVerdict(FilterAction.ACCEPT))
    refuses(kinds, "two")
    said = run(kinds, [terms("one"), terms("two")])
    assert (words(said), said.refusal) == ([("one", "accept")], None)


def test_what_is_only_logged_has_no_effect(kinds):
    kinds.add(
        "one",
        lambda *_: FilterVerdict(FilterAction.DISCARD, content=b"X: y\r\n\r\n", refused={ANN: NO}),
    )
    refuses(kinds, "two")
    last = kinds.add("three", passes)
    rows = [
        terms("one", state=FilterState.LOG),
        terms("two", state=FilterState.LOG),
        terms("three"),
    ]
    said = run(kinds, rows)
    assert words(said) == [("one", "discard"), ("two", "refuse"), ("three", "pass")]
    assert said.words[1].reply == NO
    assert (said.refusal, said.refused, said.dispositions, said.content) == (None, {}, (), None)
    assert last.asked == [request()]


def test_what_is_off_is_not_asked(kinds):
    off = refuses(kinds, "one")
    said = run(kinds, [terms("one", state=FilterState.OFF)])
    assert (said, off.asked) == (ChainVerdict(), [])


def test_a_changed_message_goes_on_to_the_next_filter(kinds):
    kinds.add("one", lambda asked, _: FilterVerdict(content=b"X-One: 1\r\n" + asked.content))
    two = kinds.add("two", lambda asked, _: FilterVerdict(content=b"X-Two: 2\r\n" + asked.content))
    said = run(kinds, [terms("one"), terms("two")])
    assert two.asked[0].content == b"X-One: 1\r\n" + CONTENT
    assert said.content == b"X-Two: 2\r\nX-One: 1\r\n" + CONTENT


def test_recipients_refused_alone_are_asked_about_no_more(kinds):
    kinds.add("one", lambda *_: FilterVerdict(refused={ANN: NO}))
    two = kinds.add("two", lambda *_: FilterVerdict(refused={BOB: LATER}))
    three = kinds.add("three", passes)
    said = run(kinds, [terms("one"), terms("two"), terms("three")])
    assert two.asked[0].recipients == (BOB,)
    assert {each: no.reply for each, no in said.refused.items()} == {ANN: NO, BOB: LATER}
    assert (said.refusal, three.asked) == (None, [])


def test_a_held_message_may_still_be_refused_or_discarded(kinds):
    kinds.add("one", lambda *_: FilterVerdict(FilterAction.HOLD, release_after=60.0))
    kinds.add("two", lambda *_: FilterVerdict(FilterAction.DISCARD))
    never = kinds.add("three", passes)
    said = run(kinds, [terms("one"), terms("two"), terms("three")])
    assert [(each.action, each.filter, each.release_after) for each in said.dispositions] == [
        (FilterAction.HOLD, "one", 60.0),
        (FilterAction.DISCARD, "two", None),
    ]
    assert never.asked == []


def away(*_: object) -> FilterVerdict:
    raise Trouble("nobody is at the socket")


def broken(*_: object) -> FilterVerdict:
    raise ZeroDivisionError


def refused_connection(*_: object) -> FilterVerdict:
    raise ConnectionRefusedError(111, "Connection refused")


@pytest.mark.parametrize(
    ("judge", "text"),
    [
        (away, "nobody is at the socket"),
        (broken, "the filter failed: ZeroDivisionError"),
        (refused_connection, "[Errno 111] Connection refused"),
        (hangs, "no answer within 0.01 s"),
        (lambda *_: None, "the filter answered NoneType in place of a verdict"),
        (
            lambda *_: FilterVerdict(FilterAction.REFUSE),
            "the filter refuses and gives no reply for it",
        ),
        (
            lambda *_: FilterVerdict(FilterAction.REFUSE, Reply(250, "2.0.0", "fine")),
            "the filter refuses and gives no reply for it",
        ),
        (
            lambda *_: FilterVerdict(refused={"eve@example.test": NO}),
            "the filter refuses recipients that it was not asked about",
        ),
        (
            lambda *_: FilterVerdict(refused={ANN: Reply(250, "2.0.0", "fine")}),
            "the filter refuses recipients and gives no reply for it",
        ),
        (
            lambda *_: FilterVerdict(content=b"Subject: x\n\nbare\n"),
            "the filter's message has lines that do not end in CRLF",
        ),
    ],
)
@pytest.mark.parametrize("on_trouble", list(OnTrouble))
def test_a_filter_in_trouble(kinds, judge, text, on_trouble):
    kinds.add("one", judge)
    last = kinds.add("two", passes)
    said = run(kinds, [terms("one", on_trouble=on_trouble, timeout=0.01), terms("two")])
    assert (said.words[0].verdict, said.words[0].detail) == ("trouble", text)
    if on_trouble is OnTrouble.SKIP:
        assert (said.refusal, len(last.asked)) == (None, 1)
    else:
        assert said.refusal is not None
        assert (said.refusal.reply.code, said.refusal.reply.status) == (451, "4.7.1")
        assert last.asked == []


def test_trouble_that_is_only_logged_has_no_effect(kinds):
    kinds.add("one", away)
    said = run(kinds, [terms("one", state=FilterState.LOG)])
    assert (words(said), said.refusal) == ([("one", "trouble")], None)


def test_a_kind_that_is_not_there_is_named(kinds):
    said = run(kinds, [terms("one", kind="gone")])
    assert said.words[0].detail == "there is no kind of filter 'gone'"
    assert said.refusal is not None


@pytest.mark.parametrize("action", [FilterAction.HOLD, FilterAction.DISCARD])
def test_a_connection_is_neither_held_nor_discarded(kinds, action):
    kinds.add("one", lambda *_: FilterVerdict(action))
    asked = request(stage=FilterStage.CONNECT, reverse_path=None, recipients=(), content=None)
    said = run(kinds, [terms("one", stage=FilterStage.CONNECT)], asked)
    assert words(said) == [("one", "trouble")]


def test_optional_filters_have_no_word_on_who_takes_mail_unseen(kinds):
    one = refuses(kinds, "one")
    two = kinds.add("two", passes)
    rows = [terms("one", mandatory=False), terms("two")]
    said = run(kinds, rows, unseen=[ANN])
    assert one.asked[0].recipients == (BOB,)
    assert (said.refusal, said.refused.keys()) == (None, {BOB})
    assert two.asked[0].recipients == (ANN,)


def test_an_optional_filter_is_not_asked_when_all_take_the_mail_unseen(kinds):
    one = refuses(kinds, "one")
    mandatory = refuses(kinds, "two", LATER)
    rows = [terms("one", mandatory=False), terms("two")]
    said = run(kinds, rows, unseen=[ANN, BOB])
    assert (words(said), one.asked) == ([("one", "not asked"), ("two", "refuse")], [])
    assert len(mandatory.asked) == 1


def test_what_an_optional_filter_holds_spares_who_takes_mail_unseen(kinds):
    kinds.add("one", lambda *_: FilterVerdict(FilterAction.HOLD))
    said = run(kinds, [terms("one", mandatory=False)], unseen=[ANN])
    assert said.dispositions[0].spared == {ANN}
