"""The Django app of the project itself: makes the Celery application the current one."""

from django.apps import AppConfig

from courierweb.celery import app as celery_app

__all__ = ["CourierwebConfig", "celery_app"]


class CourierwebConfig(AppConfig):
    name = "courierweb"
