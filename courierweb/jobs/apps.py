"""Background jobs that a person started in the console and waits for (django-rq)."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "courierweb.jobs"
    label = "jobs"
    verbose_name = "Jobs"
