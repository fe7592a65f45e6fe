"""What the sessions of one ingress process share, and the doors they come in by."""

import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from mta.filters import chain
from mta.ingress.committer import Committer
from mta.ingress.connections import Connections
from mta.ingress.gate import PolicyGate
from mta.ingress.inquiry import Inquiry
from mta.ingress.wire import Budget
from mta.intake import Router
from mta.protocol.filter_words import ChainVerdict
from mta.protocol.site_filter import FilterRequest, FilterTerms
from mta.queue.ids import IdMaker


class Filters(Protocol):
    """Asks site filters, as `mta.filters.chain.run` does."""

    def __call__(
        self,
        terms: Sequence[FilterTerms],
        request: FilterRequest,
        *,
        unseen: frozenset[str] = frozenset(),
    ) -> Awaitable[ChainVerdict]: ...


@dataclass(frozen=True, slots=True)
class Listener:
    """A door: its name in the history, whether users only, whether TLS from the first octet."""

    name: str
    auth_required: bool = False
    implicit_tls: bool = False


@dataclass(slots=True)
class House:
    """`hostname` is our own name; `tls` is None without a certificate. `stopping` is set when
    the process is asked to end: no new transaction begins then. `has_room` is false while there
    is no room to store mail."""

    hostname: str
    gate: PolicyGate
    committer: Committer
    router: Router
    ids: IdMaker
    budget: Budget
    connections: Connections
    inquiry: Inquiry
    filters: Filters = chain.run
    has_room: Callable[[], bool] = lambda: True
    tls: ssl.SSLContext | None = None
    stopping: bool = False
