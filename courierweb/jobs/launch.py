"""Starting a job for a person, and finding it again for its page."""

from collections.abc import Callable
from typing import Any

import django_rq
from django.contrib.auth.models import AbstractBaseUser
from rq import get_current_job
from rq.exceptions import NoSuchJobError
from rq.job import Job

KEEP_SECONDS = 24 * 3600


def start(function: Callable[..., Any], *args: Any, owner: AbstractBaseUser, title: str) -> str:
    """Puts the job in the queue and gives its id. Raises redis.RedisError without a broker."""
    # At once, not after the commit: a job reads its arguments only, and the page wants its id.
    job = django_rq.get_queue("default", commit_mode="auto").enqueue(
        function,
        *args,
        meta={"owner": owner.get_username(), "title": title, "progress": []},
        result_ttl=KEEP_SECONDS,
        failure_ttl=KEEP_SECONDS,
    )
    return job.id


def find(job_id: str, owner: AbstractBaseUser) -> Job | None:
    """The job, if this person started it and it is still known."""
    try:
        job = Job.fetch(job_id, connection=django_rq.get_connection("default"))
    except NoSuchJobError:
        return None
    return job if job.meta.get("owner") == owner.get_username() else None


def report(line: str) -> None:
    """Called inside a job: adds a line to the progress that its page shows."""
    job = get_current_job()
    if job is not None:
        job.meta["progress"].append(line)
        job.save_meta()
