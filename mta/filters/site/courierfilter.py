"""Step 3, kind `courierfilter`: programs made for Courier's global filters.

Each listens on a socket in a directory (Courier's `filters` or `allfilters`). It reads the message
from a file, which is made for the time of the question and removed whatever happens.
"""

import asyncio
import stat
from collections.abc import Sequence
from pathlib import Path

from mta.filters.base import Option, Trouble
from mta.filters.courier_files import FileTerms, MessageFiles
from mta.filters.unix_stream import open_unix
from mta.protocol import courierfilter
from mta.protocol.courierfilter import Answer, Word
from mta.protocol.site_filter import (
    FilterAction,
    FilterRequest,
    FilterStage,
    FilterTerms,
    FilterVerdict,
)

CONNECT_TIMEOUT = 10.0


class CourierFilter:
    """All sockets of one directory, in the order of their names, or one socket."""

    name = "courierfilter"
    label = "Courier's filters (courierfilter)"
    stages = frozenset({FilterStage.CONTENT})
    options = (
        Option(
            "sockets",
            "Sockets",
            "/var/lib/courier/allfilters",
            "a directory, whose sockets are asked in the order of their names; or one socket",
        ),
        Option("directory", "Directory of files", "", "empty: the system's for temporary files"),
        Option("group", "Group of files", "", "of the filters' programs, by name or number"),
        Option("mode", "Mode of files", "0640", "in octal"),
        Option(
            "rehearsals",
            "Ask when something is tried",
            False,
            "it cannot be told that no mail is behind it, and counts what it sees",
        ),
    )
    has_text = False

    def check(self, terms: FilterTerms) -> None:
        _place(terms)
        _file_terms(terms)

    async def judge(self, request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
        if request.rehearsal and not terms.options.get("rehearsals", False):
            return FilterVerdict(detail="not asked: it would take what is tried for mail")
        try:
            sockets = _listeners(_place(terms))
            if not sockets:
                return FilterVerdict(detail="there is no filter")
            async with MessageFiles(request, _file_terms(terms)) as files:
                return await _ask_all(sockets, courierfilter.request(files.data, [files.control]))
        except ValueError as error:
            raise Trouble(str(error)) from error
        except OSError as error:
            raise Trouble(f"the message cannot be shown to the filters: {error}") from error


async def _ask_all(sockets: Sequence[Path], question: bytes) -> FilterVerdict:
    """Until one refuses or says that it is enough."""
    said = []
    for socket in sockets:
        answer = await _ask(socket, question)
        said.append(f"{socket.name}: {answer.reply}")
        if answer.word is Word.REFUSE:
            return FilterVerdict(FilterAction.REFUSE, answer.reply, detail="; ".join(said))
        if answer.word is Word.DONE:
            return FilterVerdict(FilterAction.ACCEPT, detail="; ".join(said))
    return FilterVerdict(detail="; ".join(said))


async def _ask(socket: Path, question: bytes) -> Answer:
    """Raises Trouble, with the name of the filter."""
    try:
        return await _converse(socket, question)
    except TimeoutError as error:
        raise Trouble(f"{socket.name}: no connection within {CONNECT_TIMEOUT:g} s") from error
    except OSError as error:
        raise Trouble(f"{socket.name}: {error.strerror or error}") from error
    except ValueError as error:
        raise Trouble(f"{socket.name}: {error}") from error


async def _converse(socket: Path, question: bytes) -> Answer:
    async with asyncio.timeout(CONNECT_TIMEOUT):
        reader, writer = await open_unix(str(socket))
    try:
        writer.write(question)
        await writer.drain()
        octets = await reader.read(courierfilter.MAX_ANSWER + 1)
        while len(octets) <= courierfilter.MAX_ANSWER:
            more = await reader.read(courierfilter.MAX_ANSWER)
            if not more:
                return courierfilter.parse(octets)
            octets += more
        raise ValueError(f"an answer of more than {courierfilter.MAX_ANSWER} octets")
    finally:
        writer.close()


def _listeners(place: Path) -> list[Path]:
    """Names with a dot are filters that are just starting. Raises Trouble."""
    try:
        if not place.is_dir():
            return [place]
        found = sorted(place.iterdir(), key=lambda path: path.name)
        return [
            path
            for path in found
            if not path.name.startswith(".") and stat.S_ISSOCK(path.stat().st_mode)
        ]
    except OSError as error:
        raise Trouble(f"{place}: {error.strerror}") from error


def _place(terms: FilterTerms) -> Path:
    """Raises ValueError."""
    text = _text(terms, "sockets")
    if not text.startswith("/") or ".." in text.split("/") or not text.isprintable():
        raise ValueError("sockets: a path that begins with / and has no ..")
    return Path(text)


def _file_terms(terms: FilterTerms) -> FileTerms:
    """Raises ValueError."""
    return FileTerms.of(_text(terms, "directory"), _text(terms, "group"), _text(terms, "mode"))


def _text(terms: FilterTerms, name: str) -> str:
    (default,) = (option.default for option in CourierFilter.options if option.name == name)
    return str(terms.options.get(name, default))
