#!/usr/bin/env python3
"""Runs the commands of the appliance; finds its virtual environment and its home by itself."""

import os
import sys
from pathlib import Path

from courierweb.environment import BadEnvironment, load

ROOT = Path(__file__).resolve().parent
VENV_PYTHON = ROOT / ".venv" / "bin" / "python3"


def main() -> None:
    if VENV_PYTHON.exists() and Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
        os.execv(VENV_PYTHON, [str(VENV_PYTHON), *sys.argv])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "courierweb.settings")
    try:
        load()
    except BadEnvironment as error:
        sys.exit(str(error))
    try:
        from django.core.management import execute_from_command_line  # noqa: PLC0415
    except ImportError:
        sys.exit("Nothing is installed yet: run deploy/run first.")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
