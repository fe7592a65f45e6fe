"""The administrators' console: Django admin plus own pages in the same frame."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "courierweb.console"
    label = "console"
    verbose_name = "Console"
