"""The page of one message and the page of one refusal: what happened, in plain sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from courierweb.console.explain_form import explain_url
from courierweb.console.page import page, render_page
from courierweb.console.queue import VERBS
from mta import retry_times
from mta.models import Message, Refusal, RefusedContent
from mta.models.message import LIVE_STATES
from mta.policy.decision import Stage
from mta.protocol.queue_id import decode_queue_id, encode_queue_id
from mta.queue import history, refused_content
from mta.queue.history import MessageSummary, TimelineEntry

MOST_ENTRIES = 500
MOST_ATTEMPTS = 12
WAITING = {str(state) for state in LIVE_STATES}
MOST_HEADER_OCTETS = 64 * 1024
MOST_SOURCE_OCTETS = 256 * 1024
MOST_HEADERS = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of a timeline; `gap` is the time since the entry before it."""

    entry: TimelineEntry
    gap: timedelta | None

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The rules that were considered, when the entry is a decision."""
        steps = self.entry.detail.get("steps")
        return steps if isinstance(steps, list) else []


@page("mta.view_message")
@require_safe
def message(request: HttpRequest, queue_id: str) -> HttpResponse:
    summary = history.message_summary(_message_id(queue_id))
    if summary is None:
        raise Http404("there is no such message; the history may have been cleared")
    entries = history.timeline(summary.message_id)
    live = {row.state for row in summary.recipients}
    may_act = request.user.has_perm("mta.change_recipient")
    return render_page(
        request,
        "console/message.html",
        f"Message {summary.queue_id}",
        message=summary,
        lines=list(_lines(entries[:MOST_ENTRIES])),
        hidden=max(len(entries) - MOST_ENTRIES, 0),
        explain_url=_explain_message(summary, entries),
        headers=header_fields(history.content_head(summary.message_id, MOST_HEADER_OCTETS))
        if summary.has_content
        else [],
        forecasts=retry_times.of_message(summary.message_id, MOST_ATTEMPTS)
        if live & WAITING
        else [],
        verbs=[verb for verb in VERBS.values() if may_act and live & {str(s) for s in verb.states}],
    )


@page("mta.view_message")
@require_safe
def source(request: HttpRequest, queue_id: str) -> HttpResponse:
    """The message as it is stored, as text; reading other people's mail is for superusers."""
    if not request.user.is_superuser:
        raise PermissionDenied
    row = get_object_or_404(Message, pk=_message_id(queue_id))
    return render_page(
        request,
        "console/source.html",
        f"Source of {row.queue_id}",
        message=row,
        source=history.content_head(row.pk, MOST_SOURCE_OCTETS).decode("utf-8", "replace"),
        cut=row.size > MOST_SOURCE_OCTETS,
    )


@page("mta.view_refusal")
@require_safe
def refusal(request: HttpRequest, refusal_id: int) -> HttpResponse:
    row = get_object_or_404(Refusal, pk=refusal_id)
    kept = RefusedContent.objects.filter(pk=row.content_id).defer("content").first()
    head = refused_content.head(kept.pk, MOST_HEADER_OCTETS) if kept else b""
    return render_page(
        request,
        "console/refusal.html",
        f"Refusal {row.pk}",
        refusal=row,
        queue_id=encode_queue_id(row.message_id) if row.message_id else "",
        kept=kept,
        headers=header_fields(head),
        accepted_as=encode_queue_id(row.accepted_as) if row.accepted_as else "",
        may_act=request.user.has_perm("mta.change_recipient"),
        explain_url=_explain_refusal(row),
        lines=list(_lines(_refusal_entries(row))),
        steps=row.trace if isinstance(row.trace, list) else [],
    )


def _message_id(queue_id: str) -> int:
    try:
        return decode_queue_id(queue_id)
    except ValueError as error:
        raise Http404("that is not a queue id") from error


def _explain_message(summary: MessageSummary, entries: Sequence[TimelineEntry]) -> str:
    """Where its session is asked for again; "" for what was made on this host."""
    session = next((entry.detail for entry in entries if entry.kind == "session"), {})
    accepted = [entry.recipient for entry in entries if entry.kind == "rcpt" and entry.recipient]
    queue_id = summary.queue_id if summary.has_content else ""
    return explain_url(session, summary.reverse_path, dict.fromkeys(accepted), queue_id)


def _explain_refusal(row: Refusal) -> str:
    """The same for what was refused; a refused content names all its recipients."""
    session = row.session if isinstance(row.session, dict) else {}
    recipients = row.recipient.split() if row.stage == Stage.CONTENT else [row.recipient]
    return explain_url(session, row.reverse_path, filter(None, recipients))


def _lines(entries: Sequence[TimelineEntry]) -> Iterator[Line]:
    last = None
    for entry in entries:
        yield Line(entry, entry.at - last.at if last else None)
        last = entry


def _refusal_entries(row: Refusal) -> Iterator[TimelineEntry]:
    """The same kind of timeline as an accepted message has, as far as the session came."""
    session = row.session if isinstance(row.session, dict) else {}
    helo = f", HELO {row.helo}" if row.helo else ""
    came = f"Connection from {row.client_ip or 'this machine'}{helo}"
    if row.auth_user:
        came += f", signed in as {row.auth_user}"
    yield TimelineEntry(row.at, "session", came, "", session)
    if row.reverse_path is not None:
        yield TimelineEntry(row.at, "mail", f"MAIL FROM {row.reverse_path or '<>'}", "", {})
    if row.recipient:
        yield TimelineEntry(row.at, "rcpt", f"RCPT TO {row.recipient}", row.recipient, {})
    reply = " ".join(part for part in (str(row.code), row.status, row.text) if part)
    kind = "refuse" if row.code >= 500 else "defer"
    sentence = f"Turned away at the stage {row.stage} by the rule {row.rule}: {reply}"
    yield TimelineEntry(row.at, kind, sentence, "", {"policy version": row.policy_version})


def header_fields(octets: bytes) -> list[tuple[str, str]]:
    """Names and values of the header fields at the beginning of a message, unfolded."""
    head = octets.decode("utf-8", "replace")
    fields: list[tuple[str, str]] = []
    for line in head.split("\r\n\r\n", 1)[0].split("\r\n"):
        if line[:1] in (" ", "\t") and fields:
            name, value = fields[-1]
            fields[-1] = (name, f"{value} {line.strip()}")
        elif ":" in line and len(fields) < MOST_HEADERS:
            name, _, value = line.partition(":")
            fields.append((name, value.strip()))
    return fields
