"""Filters of another package are found and asked, in a fresh process; a broken one is Trouble."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FILTERS = '''
from mta.filters.base import Option
from mta.protocol.reply import Reply
from mta.protocol.site_filter import FilterAction, FilterStage, FilterVerdict


def no_words(request, *, words=[], reply="we do not want this"):
    """Refuse words."""
    found = [word for word in words if word.encode() in request.content]
    if found:
        return FilterVerdict(FilterAction.REFUSE, Reply(550, "5.7.1", reply), found[0])


class Stamp:
    name = "stamp"
    label = "Stamp"
    stages = frozenset({FilterStage.CONTENT})
    options = (Option("text", "Text", "seen"),)
    has_text = False

    def check(self, terms):
        pass

    async def judge(self, request, terms):
        text = terms.options.get("text", "seen")
        return FilterVerdict(content=f"X-Stamp: {text}\\r\\n".encode() + request.content)


class Halfway:
    name = "halfway"
'''

ASKING = """
import asyncio

from mta.filters import chain
from mta.filters.registry import kinds
from mta.protocol.envelope import Source
from mta.protocol.site_filter import (
    FilterRequest, FilterStage, FilterState, FilterTerms, OnTrouble,
)

def row(kind, **values):
    return FilterTerms(kind, kind, FilterStage.CONTENT, FilterState.ENFORCE, **values)

rows = [
    row("broken", on_trouble=OnTrouble.SKIP),
    row("halfway", on_trouble=OnTrouble.SKIP),
    row("stamp", options={"text": "yes"}),
    row("words", options={"words": ["bad"]}),
]
content = b"X: y\\r\\n\\r\\nbad\\r\\n"
request = FilterRequest(FilterStage.CONTENT, Source.ESMTP, "here", content=content)
said = asyncio.run(chain.run(rows, request))
print(*(f"{word.name} {word.verdict}" for word in said.words), sep=", ")
print(said.words[0].detail)
print(said.words[1].detail)
print(said.refusal.reply, said.content)
print(kinds["words"].label, [option.name for option in kinds["words"].options])
print("sieve" in kinds, kinds["sieve"].label)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with the package as an installer leaves it."""
    site = tmp_path / "site"
    info = site / "picky-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: picky\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[mta.filters]\nwords = picky:no_words\nstamp = picky:Stamp\n"
        "halfway = picky:Halfway\nbroken = picky_that_is_gone:Kind\nsieve = picky:Stamp\n"
    )
    (site / "picky.py").write_text(FILTERS.lstrip())
    return site


def test_installed_filters_are_asked_without_a_change_here(site, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{site}:{ROOT}")
    done = subprocess.run(
        [sys.executable, "-c", ASKING],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "broken trouble, halfway trouble, stamp pass, words refuse",
        "the kind of filter 'broken' cannot be loaded: No module named 'picky_that_is_gone'",
        "the kind of filter 'halfway' cannot be loaded: it lacks label, stages, options, "
        "has_text, check, judge",
        "550 5.7.1 we do not want this b'X-Stamp: yes\\r\\nX: y\\r\\n\\r\\nbad\\r\\n'",
        "Refuse words ['words', 'reply']",
        "True Sieve text",
    ]
