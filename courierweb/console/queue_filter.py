"""The filter of the queue page."""

from django.http import QueryDict

from courierweb.console.filter_form import FilterForm, read_words
from mta.models.message import LIVE_STATES
from mta.queue.history import QueueFilter

TEXT_FIELDS = ("sender", "recipient", "destination", "reply")


def read_filter(data: QueryDict) -> FilterForm[QueueFilter]:
    """Reads a query."""
    read = read_words(data, ("state", *TEXT_FIELDS, "age"))
    if read.words["state"] and read.words["state"] not in LIVE_STATES:
        read.errors.append("There is no such state in the queue.")
        read.words["state"] = ""
    older_than = read.duration("age")
    texts = {name: read.words[name] for name in TEXT_FIELDS}
    return read.form(QueueFilter(state=read.words["state"], older_than=older_than, **texts))
