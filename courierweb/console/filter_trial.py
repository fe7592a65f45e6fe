"""A site filter on trial: a draft of it tried on one message, or on all that are still there."""

from dataclasses import replace
from typing import Any

import redis
from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from rq.job import JobStatus

from courierweb.console.jobs import JOB_ENDED, start_job
from courierweb.console.page import page, render_page
from courierweb.jobs import filter_replay, launch
from mta import filter_trial
from mta.filters.base import Trouble
from mta.filters.trial import is_replayable
from mta.models import SiteFilter
from mta.protocol.site_filter import FilterTerms

CHOICES = 50
MOST_MESSAGES = 500
MOST_PASTED = 1024 * 1024


class TrialForm(forms.Form):
    """A draft, and the message to try it on; a pasted message wins over a chosen one."""

    text = forms.CharField(
        required=False, label="Draft", strip=False, widget=forms.Textarea(attrs={"rows": 14})
    )
    sample = forms.ChoiceField(required=False, label="A message that is still there")
    pasted = forms.CharField(
        required=False,
        label="Or one that you paste, headers and all",
        max_length=MOST_PASTED,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8}),
    )
    sender = forms.CharField(required=False, max_length=320, label="Its envelope sender")
    recipient = forms.CharField(required=False, max_length=320, label="Its recipient")
    messages = forms.IntegerField(
        required=False, min_value=1, max_value=MOST_MESSAGES, initial=100, label="Messages"
    )

    def __init__(self, *args: Any, samples: list[filter_trial.Sample], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = [(_key(each), _label(each)) for each in samples]
        self.fields["sample"].choices = [("", "choose one"), *known]


@page("mta.change_sitefilter")
@require_http_methods(["GET", "HEAD", "POST"])
def try_it(request: HttpRequest, filter_id: int) -> HttpResponse:
    row = get_object_or_404(SiteFilter, pk=filter_id)
    samples = filter_trial.samples(CHOICES, row.name)
    form = TrialForm(request.POST or None, samples=samples, initial={"text": row.text})
    problem = _problem(row.facts())
    context: dict[str, Any] = {}
    if request.method == "POST" and not problem and form.is_valid():
        context = _tried(_draft(row, form), form, samples)
    return render_page(
        request,
        "console/filter_try.html",
        f"Try the filter {row.name}",
        row=row,
        form=form,
        problem=problem,
        **context,
    )


@page("mta.change_sitefilter")
@require_POST
def replay(request: HttpRequest, filter_id: int) -> HttpResponse:
    """Starts the job that tells what the draft would have done."""
    row = get_object_or_404(SiteFilter, pk=filter_id)
    form = TrialForm(request.POST, samples=filter_trial.samples(CHOICES, row.name))
    problem = _problem(row.facts())
    if problem or not form.is_valid():
        messages.error(request, problem or "The number of messages is between 1 and 500.")
        return HttpResponseRedirect(reverse("console:filter_try", args=[row.pk]))
    return start_job(
        request,
        filter_replay.replay,
        _draft(row, form),
        form.cleaned_data["messages"] or 100,
        title=f"What {row.name} would have done",
        shown_by="console:filter_replayed",
    )


@page("mta.change_sitefilter")
@require_safe
def replayed(request: HttpRequest, job_id: str) -> HttpResponse:
    """The progress of that job, then what it found."""
    try:
        found = launch.find(job_id, request.user)
    except redis.RedisError:
        return render_page(request, "console/filter_replay.html", "Job", broker_down=True)
    if found is None:
        raise Http404("no such job")
    status = found.get_status()
    finished = status is JobStatus.FINISHED
    return render_page(
        request,
        "console/filter_replay.html",
        found.meta.get("title", "Job"),
        progress=found.meta.get("progress", []),
        running=status not in JOB_ENDED,
        failed=not finished and status in JOB_ENDED,
        result=found.return_value() if finished else None,
    )


def _problem(terms: FilterTerms) -> str:
    """Why this filter cannot be tried, "" when it can."""
    try:
        kind = filter_trial.kind_of(terms)
    except Trouble as trouble:
        return f"{trouble}."
    if is_replayable(kind):
        return ""
    return f"A filter of the kind {kind.label} cannot be tried: asking it has effects outside."


def _draft(row: SiteFilter, form: TrialForm) -> FilterTerms:
    terms = row.facts()
    text = form.cleaned_data["text"]
    return replace(terms, text=text) if filter_trial.kind_of(terms).has_text else terms


def _tried(
    terms: FilterTerms, form: TrialForm, samples: list[filter_trial.Sample]
) -> dict[str, Any]:
    """What the draft says of the message: `verdict` and `trace`, or `trouble`."""
    data = form.cleaned_data
    if data["pasted"].strip():
        request = filter_trial.request_of_text(
            data["pasted"], data["sender"], data["recipient"], terms.stage
        )
    else:
        chosen = next((each for each in samples if _key(each) == data["sample"]), None)
        if chosen is None:
            return {"trouble": "Choose a message, or paste one."}
        found = filter_trial.request_of(chosen, terms.stage)
        if found is None:
            return {"trouble": "The content of that message has gone meanwhile."}
        request = found
    try:
        filter_trial.kind_of(terms).check(terms)
        verdict, trace = filter_trial.judge(terms, request)
    except (Trouble, ValueError) as error:
        return {"trouble": str(error)}
    return {"verdict": verdict, "trace": trace}


def _key(sample: filter_trial.Sample) -> str:
    return f"r{sample.refusal}" if sample.refusal else f"m{sample.id}"


def _label(sample: filter_trial.Sample) -> str:
    what = sample.subject or "no subject"
    return f"{sample.at:%m-%d %H:%M} {sample.sender or '<>'}: {what}"[:120]
