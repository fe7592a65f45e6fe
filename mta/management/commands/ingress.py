"""Runs one ingress process; several share the ports."""

import asyncio
from typing import Any

import uvloop
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from mta import runtime
from mta.ingress import process
from mta.queue import heartbeat


class Command(BaseCommand):
    help = "Serve ESMTP on the three ports until SIGTERM."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            house = runtime.ingress_house()
        except OperationalError as error:
            raise CommandError(f"the database does not answer: {error}") from error
        beating = heartbeat.keep_beating(
            "ingress", lambda: {"connections": house.connections.total}
        )
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(process.serve(house, runtime.ingress_doors()))
        except OSError as error:
            raise CommandError(f"cannot listen: {error}") from error
        finally:
            beating.set()
