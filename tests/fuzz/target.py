"""The ingress under attack, as the attacker's side sees it: ports to connect to, and its state.

with Target() as target:
    target.ports["smtp"]
    target.state().open
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

from django.conf import settings
from django.db import connection

from deploy import certificate
from tests.support.appliance import ROOT, wait_for

ENDS_WITHIN = 30.0


@dataclass(frozen=True)
class State:
    """What the process says of itself: sessions and connections that are open, octets of content
    held, tasks of its loop, resident memory in kB, errors logged and the first of them, and for
    how many seconds its loop stood still at most since it was asked last."""

    open: int
    connections: int
    budget: int
    tasks: int
    rss: int
    failures: int
    first_failures: list[str]
    stood_still: float


class Target:
    """One ingress process on the database that Django is connected to, in a home of its own."""

    def __init__(self) -> None:
        self.ports: dict[str, int] = {}
        self._home = Path(tempfile.mkdtemp(prefix="courierweb-fuzz-"))
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        try:
            tls = self._home / "tls"
            tls.mkdir()
            certificate.ensure(tls, settings.ENVIRONMENT.hostname)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.target_program"],
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            self.ports = self._hear()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        process = self._process
        if process is not None:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
            try:
                process.wait(ENDS_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def state(self) -> State:
        """Of this moment; what was to be committed has been. Raises RuntimeError if it died."""
        return State(**self._ask("state"))

    def quiet_state(self, tasks: int) -> State:
        """Once no session is open any more and no more than `tasks` tasks are left.

        Raises AssertionError when that moment does not come."""

        def quiet() -> State | None:
            state = self.state()
            left = state.open or state.connections or state.budget or state.tasks > tasks
            return None if left else state

        try:
            found = wait_for(quiet, "the last session to end")
        except AssertionError as error:
            raise AssertionError(f"sessions are left: {self.state()}") from error
        assert found is not None
        return found

    def deliver(self) -> int:
        """Run the local transport until nothing is due; how many recipients it worked on."""
        total = 0
        # One run ends after a few seconds, and calls for the next one.
        while worked := int(self._ask("deliver")["delivered"]):
            total += worked
        return total

    def _ask(self, order: str) -> dict[str, Any]:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        assert self._process is not None and self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the ingress ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _environment(self) -> dict[str, str]:
        url = urlsplit(settings.ENVIRONMENT.database_url)
        database = quote(str(connection.settings_dict["NAME"]), safe="")
        return {
            **os.environ,
            "COURIERWEB_HOME": str(self._home),
            "COURIERWEB_HOSTNAME": settings.ENVIRONMENT.hostname,
            "DATABASE_URL": url._replace(path=f"/{database}").geturl(),
            "DJANGO_SETTINGS_MODULE": "courierweb.settings",
        }
