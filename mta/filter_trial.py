"""What a draft of a site filter would have done: the mail whose content is still there, and what
really became of it. Reads the queue and the refused mail, and changes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from django.utils import timezone

from mta import runtime
from mta.filters import registry
from mta.filters.base import Kind, Trouble
from mta.filters.trial import TraceLine, judge_draft
from mta.models import Content, Event, Message, Recipient, Refusal, RefusedContent, State
from mta.protocol.envelope import Envelope, Source
from mta.protocol.queue_id import encode_queue_id
from mta.protocol.site_filter import (
    FilterAction,
    FilterRequest,
    FilterStage,
    FilterTerms,
    FilterVerdict,
)
from mta.queue import refused_content
from mta.queue.refusals import SITE_FILTER


@dataclass(frozen=True, slots=True)
class Sample:
    """A message of the past. `id` is that of its row, `actual` what this filter did with it, or
    had done to it; `at` is when it came. One of `queue_id` and `refusal` names it."""

    id: int
    at: datetime
    sender: str
    subject: str
    actual: FilterAction
    queue_id: str = ""
    refusal: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """A message that the draft would have treated in another way. `trouble` is what the filter
    says instead of a verdict."""

    sample: Sample
    would: str
    detail: str


def kind_of(terms: FilterTerms) -> Kind:
    """Raises Trouble."""
    return registry.kinds.find(terms.kind)


def samples(limit: int, name: str) -> list[Sample]:
    """The newest messages whose content is there, for the filter of that name."""
    found = [*_queued(limit), *_refused(limit, name)]
    return sorted(found, key=lambda each: each.at, reverse=True)[:limit]


def request_of(sample: Sample, stage: FilterStage) -> FilterRequest | None:
    """What the filter would have been asked; None when the content went meanwhile."""
    if sample.refusal:
        return _request_of_refused(sample, stage)
    return _request_of_queued(sample, stage)


def request_of_text(text: str, sender: str, recipient: str, stage: FilterStage) -> FilterRequest:
    """The same for a message that somebody pasted."""
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    return _at_stage(
        FilterRequest(
            stage=stage,
            source=Source.ESMTP,
            hostname=runtime.hostname(),
            reverse_path=sender,
            recipients=(recipient,),
            content="\r\n".join([*lines, ""]).encode(),
            at=timezone.now().timestamp(),
        )
    )


def judge(
    terms: FilterTerms, request: FilterRequest
) -> tuple[FilterVerdict, tuple[TraceLine, ...]]:
    """Raises Trouble."""
    return judge_draft(kind_of(terms), terms, request)


def compare(terms: FilterTerms, sample: Sample) -> Change | None:
    """What would be another way now; None for no change, or for mail that is not asked about."""
    request = request_of(sample, terms.stage)
    if request is None or request.source not in terms.sources:
        return None
    try:
        verdict, _ = judge(terms, request)
    except Trouble as trouble:
        return Change(sample, "trouble", str(trouble))
    would = _action(verdict)
    if would is sample.actual:
        return None
    return Change(sample, would.value, str(verdict.reply) if verdict.reply else verdict.detail)


def _action(verdict: FilterVerdict) -> FilterAction:
    """ACCEPT asks no further filter; for what becomes of the mail here it is PASS."""
    if verdict.refused:
        return FilterAction.REFUSE
    return FilterAction.PASS if verdict.action is FilterAction.ACCEPT else verdict.action


def _queued(limit: int) -> Iterator[Sample]:
    """Mail that was taken. Held and discarded are what they are by anybody's word."""
    ids = list(Content.objects.order_by("-message_id").values_list("message_id", flat=True)[:limit])
    states: dict[int, set[str]] = {}
    for message_id, state in Recipient.objects.filter(message_id__in=ids).values_list(
        "message_id", "state"
    ):
        states.setdefault(message_id, set()).add(state)
    for row in Message.objects.filter(pk__in=ids):
        yield Sample(
            id=row.pk,
            at=row.created_at,
            sender=row.reverse_path,
            subject=row.subject,
            actual=_actual(states.get(row.pk, set())),
            queue_id=row.queue_id,
        )


def _actual(states: set[str]) -> FilterAction:
    if State.HELD in states:
        return FilterAction.HOLD
    return FilterAction.DISCARD if states == {State.DISCARDED} else FilterAction.PASS


def _refused(limit: int, name: str) -> Iterator[Sample]:
    """What this filter refused; of what others refused it is not known that it was asked."""
    rows = Refusal.objects.filter(rule=f"{SITE_FILTER}:{name}", enforced=True)
    for row in rows.filter(content_id__in=RefusedContent.objects.values("id")).order_by("-id")[
        :limit
    ]:
        assert row.content_id is not None
        yield Sample(
            id=row.content_id,
            at=row.at,
            sender=row.reverse_path or "",
            subject=f"refused: {row.text}",
            actual=FilterAction.REFUSE,
            refusal=row.pk,
        )


def _request_of_queued(sample: Sample, stage: FilterStage) -> FilterRequest | None:
    message = Message.objects.filter(pk=sample.id).first()
    content = Content.objects.filter(message_id=sample.id).first()
    if message is None or content is None:
        return None
    accepted = Event.objects.filter(message_id=sample.id, kind="accepted").first()
    session = accepted.data.get("session", {}) if accepted else {}
    rows = Recipient.objects.filter(message_id=sample.id).order_by("id")
    return _at_stage(
        FilterRequest(
            stage=stage,
            source=Source(message.source),
            hostname=runtime.hostname(),
            client_ip=message.client_ip,
            helo=message.helo,
            listener=str(session.get("listener", "")),
            auth_user=message.auth_user,
            tls=str(session.get("tls", "")),
            reverse_path=message.reverse_path,
            recipients=tuple(rows.values_list("address", flat=True)),
            content=bytes(content.data),
            queue_id=encode_queue_id(message.pk),
            at=message.created_at.timestamp(),
        )
    )


def _request_of_refused(sample: Sample, stage: FilterStage) -> FilterRequest | None:
    row = RefusedContent.objects.filter(pk=sample.id).first()
    refusal = Refusal.objects.filter(pk=sample.refusal).first()
    if row is None or refusal is None:
        return None
    envelope: Envelope = refused_content.envelope_of(row)
    session = refusal.session if isinstance(refusal.session, dict) else {}
    return _at_stage(
        FilterRequest(
            stage=stage,
            source=envelope.source,
            hostname=runtime.hostname(),
            client_ip=envelope.client_ip,
            helo=envelope.helo,
            listener=str(session.get("listener", "")),
            auth_user=envelope.auth_user,
            tls=str(session.get("tls", "")),
            reverse_path=envelope.reverse_path,
            recipients=tuple(each.address for each in envelope.recipients),
            content=bytes(row.content),
            at=refusal.at.timestamp(),
        )
    )


def _at_stage(request: FilterRequest) -> FilterRequest:
    """Without what is not known yet at its stage."""
    if request.stage is FilterStage.CONTENT:
        return request
    request = replace(request, content=None)
    if request.stage is FilterStage.RECIPIENT:
        return request
    request = replace(request, recipients=())
    return request if request.stage is FilterStage.SENDER else replace(request, reverse_path=None)
