"""The page of one change of the policy: who, when, and what it was before."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_safe

from courierweb.console.change_words import change_subject, table_name
from courierweb.console.page import page, render_page
from mta.models import PolicyChange


@dataclass(frozen=True, slots=True)
class Difference:
    """One column of the row; both values as text."""

    name: str
    before: str
    after: str

    @property
    def changed(self) -> bool:
        return self.before != self.after


@page("mta.view_policychange")
@require_safe
def change(request: HttpRequest, change_id: int) -> HttpResponse:
    row = get_object_or_404(PolicyChange, pk=change_id)
    return render_page(
        request,
        "console/change.html",
        f"Policy version {row.version}",
        change=row,
        subject=change_subject(row) or table_name(row),
        kind=table_name(row),
        differences=_differences(row),
        row_url=_row_url(row),
    )


def _differences(row: PolicyChange) -> list[Difference]:
    before, after = row.before or {}, row.after or {}
    names = dict.fromkeys([*before, *after])
    found = [
        Difference(name.replace("_", " "), _text(before.get(name)), _text(after.get(name)))
        for name in names
        if name not in ("id", "created_at")
    ]
    return sorted(found, key=lambda difference: not difference.changed)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(str(item) for item in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _row_url(row: PolicyChange) -> str:
    """The page of the row as it is now; "" when it was deleted."""
    if not row.after:
        return ""
    try:
        return reverse(f"admin:{row.table}_change", args=[row.after["id"]])
    except (NoReverseMatch, KeyError):
        return ""
