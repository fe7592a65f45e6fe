"""Fuzzes an ingress of its own with many parallel sessions.

    python3 -m tests.fuzz.run --commands 1000000 --sessions 100000 [--seed N]
    python3 -m tests.fuzz.run --seed N --only NUMBER
    python3 -m tests.fuzz.run --port 2525 --sessions 1000

It goes on until as many commands and as many sessions are reached, then looks at the log of the
ingress, at its open sessions, at its memory and at every row of the database. The exit status is 1
when anything is wrong. A failure names the number of its session; with the same seed, --only
plays that one again and prints what it says.

With DATABASE_URL a test database is made beside that database, and removed; without it a
PostgreSQL and a Valkey are started for the run. With --port sessions go to a server that runs
already: then only what is seen from outside is judged.
"""

import argparse
import os
import random
import sys

from deploy import suite

LARGEST_SEED = 2**32


def main() -> int:
    options = _arguments()
    if not options.port and not os.environ.get("DATABASE_URL"):
        with suite.temporary_home() as place:
            return suite.run(place, [["tests.fuzz.run", *sys.argv[1:]]])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "courierweb.settings")
    # Needs Django, which reads the environment as it is by now.
    from tests.fuzz import command  # noqa: PLC0415

    return command.run(options)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.fuzz.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--commands", type=int, default=0, help="at least so many commands")
    parser.add_argument("--sessions", type=int, default=10_000, help="at least so many sessions")
    parser.add_argument("--at-once", type=int, default=50, help="sessions side by side")
    parser.add_argument("--seed", type=int, default=random.randrange(LARGEST_SEED))
    parser.add_argument("--only", type=int, metavar="NUMBER", help="play this session alone")
    parser.add_argument("--port", type=int, help="an ESMTP server that runs already, on 127.0.0.1")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
