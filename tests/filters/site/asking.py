"""Asking a kind of site filter as the chain does, with the context of the appliance."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from django.db import connection

from mta import runtime
from mta.filters.base import FilterContext, Kind
from mta.models import Message
from mta.protocol.envelope import Source
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.site_filter import (
    FilterRequest,
    FilterStage,
    FilterState,
    FilterTerms,
    FilterVerdict,
)
from tests.support.smtp_session import disconnect_others

_ids = itertools.count(1 << 30)

REQUEST = FilterRequest(
    stage=FilterStage.CONTENT,
    source=Source.ESMTP,
    hostname="mail.example.test",
    client_ip="192.0.2.7",
    reverse_path="alice@example.org",
    recipients=("bob@example.test",),
    content=b"Subject: x\r\n\r\nx\r\n",
)


def nothing(*_: object) -> None:
    raise AssertionError("this kind asks for nothing")


CONTEXT_FREE = FilterContext(nothing, nothing, nothing, nothing)


def ask(kind: Kind, text: str = "", **options: object) -> "Asking":
    """A row of that kind, in force."""
    terms = FilterTerms("the-row", kind.name, FilterStage.CONTENT, FilterState.ENFORCE)
    terms = replace(terms, options=options, text=text)
    kind.check(terms)
    return Asking(kind, terms)


class Asking:
    def __init__(self, kind: Kind, terms: FilterTerms) -> None:
        self.kind = kind
        self.terms = terms

    def __call__(self, **about: object) -> FilterVerdict:
        """The verdict on a request, with a queue id of its own unless one is given."""
        return asyncio.run(self.kind.judge(self.request(**about), self.terms))

    def request(self, message: Message | None = None, **about: object) -> FilterRequest:
        queue_id = message.queue_id if message else encode_queue_id(next(_ids))
        return replace(REQUEST, **{"at": time.time(), "queue_id": queue_id, **about})


@contextmanager
def appliance_context() -> Iterator[FilterContext]:
    runtime.directory.cache_clear()
    runtime.directory().refresh()
    try:
        yield runtime.filter_context()
    finally:
        runtime.directory.cache_clear()
        connection.ensure_connection()
        disconnect_others()
