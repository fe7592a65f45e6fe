"""First step of deploy/run and deploy/test: the virtual environment, then hand over to it.

Runs on the system's Python with the standard library only. An installation is complete when
.venv/installed says so, with the requirements it was made from; that file is removed before
anything is changed, so whatever was interrupted is made anew by the next start.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python3"
STAMP = VENV / "installed"
LOG = VENV / "install.log"

# For each command: the program to become, and the requirements it needs.
COMMANDS = {
    "run": ("deploy.appliance", ["requirements.txt"]),
    "test": ("deploy.suite", ["requirements.txt", "requirements-dev.txt"]),
}
# Lines of pip worth showing; the rest is in the log.
PROGRESS = ("Collecting", "Installing", "WARNING: Retrying")


class CannotInstall(Exception):
    """The installation cannot go on; the message is one sentence for the person who started it."""


def main(command: str, arguments: list[str]) -> NoReturn:
    module, requirements = COMMANDS[command]
    try:
        install(requirements)
    except CannotInstall as error:
        sys.exit(f"deploy/{command}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"\ndeploy/{command}: interrupted; the next start goes on with the installation")
    # This checkout, and never the current directory, is what modules come from.
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    environ.pop("PYTHONHOME", None)
    os.execve(PYTHON, [str(PYTHON), "-m", module, *arguments], environ)


def install(requirements: list[str]) -> None:
    """Bring .venv to the state the requirements ask for. Raises CannotInstall."""
    wanted = {name: hashlib.sha256((ROOT / name).read_bytes()).hexdigest() for name in requirements}
    with _one_at_a_time():
        installed = _read_stamp()
        usable = installed.get("python", "none") == _venv_version()
        if usable and wanted.items() <= installed.items():
            return
        try:
            _install(wanted, usable)
        except OSError as error:
            raise CannotInstall(f"cannot make the virtual environment {VENV}: {error}") from error


def _install(wanted: dict[str, str], usable: bool) -> None:
    STAMP.unlink(missing_ok=True)
    if not usable:
        say(f"making a virtual environment in {VENV} (Python {sys.version.split()[0]})")
        _need_ensurepip()
        _make_venv()
    say("installing the packages; this takes a minute or two the first time")
    _pip_install(list(wanted))
    STAMP.write_text(json.dumps({"python": _venv_version(), **wanted}))
    say("installed")


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Hold the checkout, so that two starts at the same time do not install over each other."""
    directory = os.open(ROOT, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting: another start is installing in this checkout")
            fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _read_stamp() -> dict[str, str]:
    try:
        stamp: dict[str, str] = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    return stamp


def _venv_version() -> str:
    """The version the environment's interpreter reports now; "" when it does not run.

    A system upgrade may have replaced the Python behind it, and its packages are then lost.
    """
    try:
        result = subprocess.run(
            [PYTHON, "-S", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True,
            text=True,
        )
    except OSError:
        return ""
    return result.stdout.strip()


def _need_ensurepip() -> None:
    """Debian keeps pip's installer in a package of its own; root can have it at once."""
    found = [importlib.util.find_spec(name) for name in ("ensurepip", "venv")]
    # What is left of a removed package is a directory without code, which has no origin.
    if all(spec is not None and spec.origin for spec in found):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CannotInstall(
            "this Python cannot make virtual environments; "
            "as root, run `apt-get install python3-venv` first"
        )
    say("installing the Debian package python3-venv")
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-q", "-y", "python3-venv"]):
        result = subprocess.run(
            ["apt-get", *arguments], env=environ, capture_output=True, text=True
        )
    if result.returncode:
        raise CannotInstall(f"apt-get cannot install python3-venv: {_last_line(result.stderr)}")


def _make_venv() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", VENV], capture_output=True, text=True
    )
    if result.returncode:
        reason = _last_line(result.stderr + result.stdout)
        raise CannotInstall(f"cannot make the virtual environment {VENV}: {reason}")


def _pip_install(requirements: list[str]) -> None:
    """Run pip with its telling lines on the console and everything in LOG."""
    command: list[str | Path] = [PYTHON, "-m", "pip", "install", "--no-input"]
    command += ["--progress-bar=off", "--disable-pip-version-check", "--no-warn-script-location"]
    for name in requirements:
        command += ["-r", ROOT / name]
    last_error = "no reason given"
    with (
        LOG.open("w") as log,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as pip,
    ):
        assert pip.stdout is not None
        for line in pip.stdout:
            log.write(line)
            text = line.strip()
            if text.startswith(PROGRESS):
                say(f"  {text[:78]}")
            if text.startswith("ERROR:"):
                last_error = text.removeprefix("ERROR:").strip()
    if pip.returncode:
        raise CannotInstall(f"pip cannot install the packages: {last_error} (all of it: {LOG})")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
