"""What the person who started the appliance reads: one line a step, with the time of day."""

import os
import sys
import time
from pathlib import Path


class CannotStart(Exception):
    """The appliance cannot start; the message is one sentence that names what is wrong."""


def say(text: str) -> None:
    """Write a line. A terminal that has gone away must not take the appliance with it."""
    try:
        print(time.strftime("%H:%M:%S"), text, flush=True)
    except OSError:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (open as long as we run)
