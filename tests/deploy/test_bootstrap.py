"""The installation, in a small checkout of its own whose requirements are empty."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from courierweb.environment import ROOT

PROGRAM = "print('the appliance runs')\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "deploy").mkdir()
    for name in ("run", "find-python.sh", "bootstrap.py", "__init__.py"):
        shutil.copy(ROOT / "deploy" / name, tmp_path / "deploy" / name)
    (tmp_path / "deploy" / "appliance.py").write_text(PROGRAM)
    (tmp_path / "requirements.txt").write_text("")
    return tmp_path


def start(checkout: Path) -> str:
    """What a start says; it has to end well."""
    result = subprocess.run(
        [checkout / "deploy" / "run"], cwd="/", capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("the appliance runs\n")
    return result.stdout


def test_it_installs_once_and_repairs_what_was_interrupted(checkout: Path) -> None:
    first = start(checkout)
    assert "making a virtual environment" in first
    assert "installing the packages" in first
    assert start(checkout) == "the appliance runs\n", "nothing is left to do"

    (checkout / "requirements.txt").write_text("# another set\n")
    changed = start(checkout)
    assert "installing the packages" in changed
    assert "making a virtual environment" not in changed

    (checkout / ".venv" / "installed").unlink()
    shutil.rmtree(checkout / ".venv" / "lib")
    assert "making a virtual environment" in start(checkout)


def test_an_environment_of_another_python_is_made_anew(checkout: Path) -> None:
    start(checkout)
    stamp = checkout / ".venv" / "installed"
    stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "python": "3.10"}))
    assert "making a virtual environment" in start(checkout)


def test_packages_that_cannot_be_had_are_one_sentence(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("--no-index\n--find-links=.\nno-such-package==1\n")
    result = subprocess.run(
        [checkout / "deploy" / "run"],
        cwd="/",
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "PIP_CONFIG_FILE": "/dev/null"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 1
    assert "deploy/run: pip cannot install the packages: No matching distribution" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (checkout / ".venv" / "installed").exists()
