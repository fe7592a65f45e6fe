"""The page of a background job: its progress while it runs, then its result."""

from collections.abc import Callable
from typing import Any

import redis
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from rq.job import JobStatus

from courierweb.console.page import page, render_page
from courierweb.jobs import dns_check, launch
from mta.models import Domain

JOB_ENDED = (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED)


def start_job(
    request: HttpRequest,
    function: Callable[..., Any],
    *args: Any,
    title: str,
    shown_by: str = "console:job",
) -> HttpResponse:
    """Starts the job and leads to its page; without a broker, back with a sentence."""
    try:
        job_id = launch.start(function, *args, owner=request.user, title=title)
    except redis.RedisError:
        messages.error(request, "The broker does not answer, so no background job can start.")
        return HttpResponseRedirect(reverse("admin:index"))
    return HttpResponseRedirect(reverse(shown_by, args=[job_id]))


@page("mta.view_domain")
@require_POST
def check_dns(request: HttpRequest, domain_id: int) -> HttpResponse:
    domain = get_object_or_404(Domain, pk=domain_id)
    return start_job(request, dns_check.check_domain, domain.name, title=f"DNS of {domain}")


@page("mta.view_domain")
@require_safe
def job(request: HttpRequest, job_id: str) -> HttpResponse:
    try:
        found = launch.find(job_id, request.user)
    except redis.RedisError:
        return render_page(request, "console/job.html", "Job", broker_down=True)
    if found is None:
        raise Http404("no such job")
    status = found.get_status()
    return render_page(
        request,
        "console/job.html",
        found.meta.get("title", "Job"),
        progress=found.meta.get("progress", []),
        running=status not in JOB_ENDED,
        failed=status is not JobStatus.FINISHED and status in JOB_ENDED,
        findings=found.return_value() if status is JobStatus.FINISHED else None,
    )
