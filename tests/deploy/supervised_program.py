"""A supervisor with one part, for tests that send signals to it or kill it.

Arguments: a log file, then the program of the part. It watches until it is told to stop.
"""

import os
import sys
from pathlib import Path

from deploy.supervisor import Part, StopRequested, Supervisor


def main(log: Path, program: str) -> None:
    part = Part("dummy", [sys.executable, "-c", program], os.environ, log, stop_by=1.0)
    with Supervisor() as supervisor:
        try:
            supervisor.start(part)
            supervisor.watch()
        except StopRequested as request:
            print(f"stopped by {request}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
