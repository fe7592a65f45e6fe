"""deploy/test: one bad check is enough, and its last line names it."""

import pytest

from deploy import suite


def test_a_failed_linter_fails_the_run_and_is_named_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert suite.verdict({"ruff check .": 2, "mypy": 0, "pytest": 0}) == 2
    assert capsys.readouterr().out.rstrip().endswith("failed: ruff check .")


def test_when_all_checks_pass_so_does_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert suite.verdict({"ruff check .": 0, "pytest": 0}) == 0
    assert capsys.readouterr().out.rstrip().endswith("all checks passed")
