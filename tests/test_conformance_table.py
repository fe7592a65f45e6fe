"""docs/conformance.md: every test it names exists, and every row names one or says why not."""

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
TABLE = TESTS.parent / "docs" / "conformance.md"
_REFERENCE = re.compile(r"`([\w/]+\.py)::((?:\w+::)?test_\w+)`")
_DIALOG = re.compile(r"`([\w-]+\.dialog)`")


def _rows() -> list[list[str]]:
    """The cells of every row of every table, without the heads."""
    lines = [line for line in TABLE.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if "Test" not in row and not set(row[0]) <= {"-"}]


ROWS = _rows()


@lru_cache
def _names(path: Path) -> frozenset[str]:
    """The tests of a file as pytest names them, found without running it."""
    names = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = [each.name for each in node.body if isinstance(each, ast.FunctionDef)]
            names |= {f"{node.name}::{method}" for method in methods}
    return frozenset(names)


def _references() -> list[tuple[str, str]]:
    return sorted(set(_REFERENCE.findall(TABLE.read_text())))


def test_the_table_is_read():
    assert len(ROWS) > 100 and len(_references()) > 100
    assert {len(row) for row in ROWS} == {4}


@pytest.mark.parametrize(("path", "name"), _references())
def test_every_test_that_is_named_exists(path, name):
    assert name in _names(TESTS / path)


def test_every_dialog_and_file_that_is_named_exists():
    text = TABLE.read_text()
    dialogs = {TESTS / "data" / "dialogs" / name for name in _DIALOG.findall(text)}
    files = {TESTS / name for name in re.findall(r"`(\w+/[\w/]+\.py)`", text)}
    assert dialogs and [path for path in dialogs | files if not path.exists()] == []


def test_a_row_without_a_test_says_so():
    """In the last column of the clauses, in the third of the reply codes."""
    silent = [row for row in ROWS if not any(_shows(cell) for cell in row)]
    assert [row for row in silent if "-" not in row] == []
    assert [row[0] for row in silent if row[0][:1].isalpha() and row[3] == "-"] == []
    # So few clauses that they can be counted; a new one has to be argued for here.
    assert len(silent) <= 5


def _shows(cell: str) -> bool:
    return bool(_REFERENCE.search(cell) or _DIALOG.search(cell))
