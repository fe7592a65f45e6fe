"""What a site filter is told and what it says; plain facts for policy, filters and the ingress.

A site filter is the administrator's (spec 6.1): a row of order, stage, sources and options. It is
asked within the session, so that its refusal is a refusal and never a bounce.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mta.protocol.envelope import Source
from mta.protocol.reply import Reply


class FilterStage(StrEnum):
    """The moment at which a filter is asked; each knows what the ones before it knew."""

    CONNECT = "connect"
    SENDER = "sender"
    RECIPIENT = "recipient"
    CONTENT = "content"


class FilterState(StrEnum):
    OFF = "off"
    LOG = "log"
    ENFORCE = "enforce"


class OnTrouble(StrEnum):
    """What becomes of mail when a filter is away, hangs or answers nonsense."""

    DEFER = "defer"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class FilterTerms:
    """One row. Filters are asked in the order of `position`, those of one position by name.

    `timeout` is in seconds. One that is not `mandatory` is left out for recipients whose own rules
    took the sender's mail unseen (Courier's `filters/` beside `allfilters/`). `options` and `text`
    belong to the kind.
    """

    name: str
    kind: str
    stage: FilterStage
    state: FilterState
    position: int = 0
    sources: frozenset[Source] = frozenset({Source.ESMTP})
    mandatory: bool = True
    on_trouble: OnTrouble = OnTrouble.DEFER
    timeout: float = 30.0
    options: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True, slots=True)
class FilterRequest:
    """What a filter is asked about: all that the session has said up to `stage`.

    `reverse_path` is None before MAIL, "" for the null sender. `recipients` are the accepted ones,
    in their order; at RECIPIENT the last one is the one in question. `content` is the message as
    it will be queued (CRLF line ends, our Received on top), None before CONTENT. `at` is in
    seconds since the epoch. `uid` is that of the local user who hands the message in. In a
    `rehearsal` (explain, try it, replay) nothing is counted, changed or remembered.
    """

    stage: FilterStage
    source: Source
    hostname: str
    client_ip: str = ""
    helo: str = ""
    listener: str = ""
    auth_user: str = ""
    tls: str = ""
    reverse_path: str | None = None
    recipients: tuple[str, ...] = ()
    content: bytes | None = None
    queue_id: str = ""
    at: float = 0.0
    uid: int | None = None
    rehearsal: bool = False


class FilterAction(StrEnum):
    """PASS: go on with the next filter. ACCEPT: ask no further filter. REFUSE: with the reply.
    HOLD: take it, and hold all its recipients. DISCARD: take it, and deliver it to nobody."""

    PASS = "pass"
    ACCEPT = "accept"
    REFUSE = "refuse"
    HOLD = "hold"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True)
class FilterVerdict:
    """What one filter said. `reply` is for REFUSE (4xx or 5xx), `detail` is for the timeline.

    `refused` are recipients who are refused alone, by address (CONTENT only). `content` is the
    message in place of what was asked about, None for the same. `release_after` is in seconds: a
    held message is released by itself then, None for by hand.
    """

    action: FilterAction = FilterAction.PASS
    reply: Reply | None = None
    detail: str = ""
    refused: Mapping[str, Reply] = field(default_factory=dict)
    content: bytes | None = None
    release_after: float | None = None
