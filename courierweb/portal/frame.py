"""The frame of the portal's pages: its navigation, and who is signed in."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

NAVIGATION = (
    ("home", "Overview"),
    ("rules", "Rules"),
    ("vacation", "Vacation"),
    ("senders", "Senders"),
    ("sent", "Sent mail"),
    ("password", "Password"),
)


def render_page(
    request: HttpRequest,
    template: str,
    title: str,
    *,
    area: str,
    status: int = 200,
    **context: Any,
) -> HttpResponse:
    """`area` is the entry of the navigation that the page belongs to."""
    frame = {"title": title, "area": area, "navigation": NAVIGATION, "mailbox": request.mailbox}
    return render(request, f"portal/{template}", {**frame, **context}, status=status)
