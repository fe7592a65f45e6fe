"""Every change made in the console is one transaction that says who makes it.

The database trigger on the policy tables (mta migration 0002) copies the setting
courierweb.actor into each PolicyChange.
"""

from collections.abc import Callable
from typing import Any

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse

_READING = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class NamedTransaction:
    """Runs each view of a signed-in person's POST in a transaction that bears their name.

    It stands last in MIDDLEWARE: the checks of the others, CSRF above all, come first. An
    exception in the view rolls everything back.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., HttpResponse],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> HttpResponse | None:
        if request.method in _READING or not request.user.is_authenticated:
            return None
        with transaction.atomic():
            name_actor(request.user.get_username())
            return view(request, *args, **kwargs)


def name_actor(name: str) -> None:
    """Says for the rest of the transaction who makes its changes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('courierweb.actor', %s, true)", [name])
