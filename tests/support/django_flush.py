"""Lets Django's tests with real transactions empty the tables.

Django does so with its own command `flush`, whose name is taken by ours: `flush` tries queued
mail now, as in Courier. Ours must never learn to empty tables, so the tests call Django's by its
class. The row that the migration put into mta_policystate is put back: no policy can change
without it.
"""

from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.core.management.commands.flush import Command as DjangoFlush
from django.test import testcases


def install() -> None:
    testcases.call_command = _call_command


def _call_command(name: Any, *arguments: Any, **options: Any) -> Any:
    if name != "flush":
        return call_command(name, *arguments, **options)
    emptied = call_command(DjangoFlush(), *arguments, **options)
    apps.get_model("mta", "PolicyState").objects.get_or_create(id=1)
    return emptied
