"""submitd: takes mail from the programs of this host, until SIGTERM."""

import signal
import threading
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mta.management.submit_server import SubmitServer
from mta.queue import heartbeat


class Command(BaseCommand):
    help = "Take the mail of local programs (deploy/sendmail) at a socket until SIGTERM."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("socket", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            server = SubmitServer(options["socket"])
        except OSError as error:
            raise CommandError(f"cannot listen at {options['socket']}: {error}") from error

        def stop(*_: object) -> None:
            # shutdown() waits for the loop, which this thread is in.
            threading.Thread(target=server.shutdown).start()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        with server:
            silent = heartbeat.keep_beating("submit")
            server.serve_forever(poll_interval=0.1)
            silent.set()
