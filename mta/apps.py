"""The one Django app that holds every mail model."""

from django.apps import AppConfig


class MtaConfig(AppConfig):
    name = "mta"
    verbose_name = "Mail"
    default_auto_field = "django.db.models.BigAutoField"
