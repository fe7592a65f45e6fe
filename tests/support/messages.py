"""The messages of tests/data/messages: varied mail as it is really sent, and broken mail."""

from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "data" / "messages"
GOOD = {path.stem: path.read_bytes() for path in sorted(_FOLDER.glob("*.eml"))}
BROKEN = {path.stem: path.read_bytes() for path in sorted((_FOLDER / "broken").glob("*.eml"))}
