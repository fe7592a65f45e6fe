"""Serves ManageSieve (RFC 5804) to users' mail programs."""

import asyncio
from collections.abc import Callable
from typing import Any

import uvloop
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from mta import runtime
from mta.ingress.house import House
from mta.managesieve import process
from mta.queue import heartbeat


class Command(BaseCommand):
    help = "Serve ManageSieve, by which mail programs edit their users' scripts, until SIGTERM."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            house = runtime.ingress_house()
        except OperationalError as error:
            raise CommandError(f"the database does not answer: {error}") from error
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(process.serve(house, runtime.sieve_port(), lambda: _beat(house)))
        except OSError as error:
            raise CommandError(f"cannot listen: {error}") from error


def _beat(house: House) -> Callable[[], None]:
    """Show life from the moment the port is open; gives what ends it."""
    return heartbeat.keep_beating(
        "managesieve", lambda: {"connections": house.connections.total}
    ).set
