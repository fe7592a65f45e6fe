"""What the filters of one stage said together: plain facts for policy, the ingress and the history.

`mta.filters.chain` makes them of what each filter said alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from mta.protocol.reply import Reply
from mta.protocol.site_filter import FilterAction, FilterState

# What a filter that could not be asked said, beside the words of FilterAction.
TROUBLE = "trouble"
# One that was left out, with the reason in `detail`.
NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class FilterWord:
    """What one filter said. `verdict` is a word of FilterAction, TROUBLE or NOT_ASKED.

    `reply` is what it refuses with, or would if its state were not to log only.
    """

    name: str
    kind: str
    state: FilterState
    verdict: str
    detail: str = ""
    milliseconds: int = 0
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A refusal with the name of the filter that said it."""

    filter: str
    reply: Reply
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Disposition:
    """Mail that is taken and not delivered now: held or discarded, by which filter and why.

    `release_after` is in seconds, None for by hand. It is not for those recipients who are
    `spared`, by address.
    """

    action: FilterAction
    filter: str
    detail: str = ""
    release_after: float | None = None
    spared: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """What the filters of one stage said together.

    `refused` are recipients refused alone, by address. `content` is the message that the filters
    put in place of what they were asked about, None for the same.
    """

    words: tuple[FilterWord, ...] = ()
    refusal: Refused | None = None
    refused: Mapping[str, Refused] = field(default_factory=dict)
    dispositions: tuple[Disposition, ...] = ()
    content: bytes | None = None
