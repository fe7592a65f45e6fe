"""docs/sieve.md: every test it names exists, and it speaks of every extension."""

import ast
import re
from pathlib import Path

import pytest

from mta.filters.sieve.vocabulary import capabilities

HERE = Path(__file__).parent
TEXT = (HERE.parents[2] / "docs" / "sieve.md").read_text()
REFERENCES = sorted(set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT)))


@pytest.mark.parametrize(("file", "name"), REFERENCES)
def test_every_test_that_is_named_exists(file, name):
    nodes = ast.parse((HERE / file).read_text()).body
    assert name in {each.name for each in nodes if isinstance(each, ast.FunctionDef)}


def test_every_row_names_a_test():
    rows = [line for line in TEXT.splitlines() if line.startswith("|") and "::" not in line]
    assert [row for row in rows if not row.startswith(("| What ", "| Section ", "|---"))] == []
    assert len(REFERENCES) > 60


def test_every_extension_is_named():
    (listed,) = re.findall(r"What may stand in `require`:([^.]+)\.", TEXT)
    assert tuple(re.findall(r"`([^`]+)`", listed)) == capabilities()
