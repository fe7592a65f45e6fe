"""Our own parts of the appliance: the processes that make it up, besides the two servers."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from courierweb.environment import ROOT, Environment
from deploy import sockets
from deploy.supervisor import Part

CELERY = ["-m", "celery", "-A", "courierweb"]
# Workers on one machine have nothing to tell each other.
WORKER = ["worker", "--loglevel=INFO", "--without-gossip", "--without-mingle"]

# With hundreds of threads that hold large messages the C library would keep what each has freed:
# 884 MiB at most instead of 621 (python -m tests.bench.outbound 40 --size 20000000 --hold 12).
FRUGAL = {"MALLOC_ARENA_MAX": "2", "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}


def variables(environment: Environment) -> dict[str, str]:
    """The process environment of every part: what was decided, on top of what we were given."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name != "COURIERWEB_ADMIN_PASSWORD" and not name.startswith("PYTHON")
    }
    return {
        **inherited,
        **environment.variables(),
        "COURIERWEB_HOME": str(environment.home),
        "DJANGO_SETTINGS_MODULE": "courierweb.settings",
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }


def all_parts(environment: Environment) -> list[Part]:
    shared = variables(environment)

    def part(
        name: str,
        *arguments: str | Path,
        stage: int = 1,
        stop_by: float = 7.0,
        more: Mapping[str, str] = MappingProxyType({}),
    ) -> Part:
        return Part(
            name=name,
            command=[sys.executable, *arguments],
            environment={**shared, **more},
            log=environment.home / "log" / f"{name}.log",
            stage=stage,
            stop_by=stop_by,
            directory=ROOT,
        )

    manage = str(ROOT / "manage.py")
    # The doors close first, so that what was let in can still be finished.
    ingress = [
        part(f"ingress-{number}", manage, "ingress", stage=0, stop_by=5.0)
        for number in range(1, environment.ingress_processes + 1)
    ]
    return [
        part("web", *_gunicorn(environment.http_port)),
        *ingress,
        part("managesieve", manage, "managesieve", stage=0),
        part("submit", manage, "submitd", sockets.submit_socket(environment.home), stage=0),
        part("worker-local", *CELERY, *WORKER, *_pool("local", "prefork", 2)),
        part("worker-remote", *CELERY, *WORKER, *_pool("remote", "threads", 4), more=FRUGAL),
        part("beat", *CELERY, "beat", "-s", environment.home / "run" / "celerybeat-schedule"),
        part("rq", manage, "rqworker", "default"),
    ]


def _pool(queue: str, kind: str, concurrency: int) -> list[str]:
    return ["-Q", queue, "-n", f"{queue}@%h", "--pool", kind, "-c", str(concurrency)]


def _gunicorn(port: int) -> list[str]:
    return [
        "-m",
        "gunicorn",
        "courierweb.wsgi:application",
        f"--bind=0.0.0.0:{port}",
        "--worker-class=gthread",
        "--workers=2",
        "--threads=8",
        # One import for both workers: a start is a second faster.
        "--preload",
        "--graceful-timeout=2",
        "--no-control-socket",
        "--access-logfile=-",
    ]
