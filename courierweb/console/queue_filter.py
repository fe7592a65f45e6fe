"""The filter of the queue page: it lives in the URL, so that a list can be shared."""

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import QueryDict

from courierweb.console.fields import parse_duration
from mta.models.message import LIVE_STATES
from mta.queue.history import QueueFilter

MAX_LENGTH = 320
TEXT_FIELDS = ("sender", "recipient", "destination", "reply")


@dataclass(frozen=True, slots=True)
class FilterForm:
    """What a person asked for: the words as typed, the filter they make, and what is wrong."""

    words: dict[str, str]
    filter: QueueFilter
    errors: tuple[str, ...] = ()

    @property
    def query(self) -> str:
        """The words as a query string, empty ones left out."""
        return urlencode({name: word for name, word in self.words.items() if word})

    @property
    def active(self) -> bool:
        return any(self.words.values())


def read_filter(data: QueryDict) -> FilterForm:
    """Reads a query. What cannot be understood narrows nothing and is told in `errors`."""
    words = {
        name: data.get(name, "").replace("\0", "").strip()[:MAX_LENGTH]
        for name in ("state", *TEXT_FIELDS, "age")
    }
    errors = []
    if words["state"] and words["state"] not in LIVE_STATES:
        errors.append("There is no such state in the queue.")
        words["state"] = ""
    older_than = None
    if words["age"]:
        try:
            older_than = parse_duration(words["age"])
        except ValueError as error:
            errors.append(f"Age: {error}.")
            words["age"] = ""
    texts = {name: words[name] for name in TEXT_FIELDS}
    queue_filter = QueueFilter(state=words["state"], older_than=older_than, **texts)
    return FilterForm(words, queue_filter, tuple(errors))
