"""Step 3, kind `milter`: a filter that speaks the milter protocol (rspamd, OpenDKIM ...).

For each question there is one session with it, in which all that the client has said so far is
said again. So the filter needs no memory, and one that is started anew is there for the next mail.
"""

import asyncio

from mta.filters.base import Option, Trouble
from mta.filters.milter_session import MilterSession
from mta.filters.unix_stream import Streams, open_unix
from mta.protocol import milter
from mta.protocol.site_filter import FilterRequest, FilterStage, FilterTerms, FilterVerdict

CONNECT_TIMEOUT = 10.0


class Milter:
    """Its options are where it listens and what it is told of us."""

    name = "milter"
    label = "Milter (rspamd, OpenDKIM, ...)"
    stages = frozenset(FilterStage)
    options = (
        Option("socket", "Socket", "", "unix:/PATH or inet:PORT@HOST, as the milter was given"),
        Option("protocol", "Oldest version", milter.OLDEST_VERSION, "of the protocol: 2 to 6"),
        Option("daemon_name", "Our name", "CourierWeb", "in the macro {daemon_name}"),
        Option(
            "rehearsals",
            "Ask when something is tried",
            True,
            "off for one that counts (a rate, a grey list): it cannot be told that it is no mail",
        ),
    )
    has_text = False

    def check(self, terms: FilterTerms) -> None:
        parse_socket(_text(terms, "socket"))
        _floor(terms)
        if not _text(terms, "daemon_name").isprintable():
            raise ValueError("daemon_name: printable characters only")

    async def judge(self, request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
        if request.rehearsal and not terms.options.get("rehearsals", True):
            return FilterVerdict(detail="not asked: it would take what is tried for mail")
        streams = await _open(_text(terms, "socket"))
        try:
            session = MilterSession(streams, request, _text(terms, "daemon_name"), _floor(terms))
            return await session.run()
        except asyncio.IncompleteReadError as error:
            raise Trouble("the milter closed the connection without an answer") from error
        except OSError as error:
            raise Trouble(f"the connection with the milter broke: {error}") from error
        except ValueError as error:
            raise Trouble(f"the milter does not keep to its protocol: {error}") from error
        finally:
            streams[1].close()


def parse_socket(text: str) -> str | tuple[str, int]:
    """The path of "unix:/PATH" ("local:" is the same), (host, port) of "inet:PORT@HOST".

    Raises ValueError.
    """
    kind, _, rest = text.partition(":")
    if kind in ("unix", "local"):
        if not rest.startswith("/") or ".." in rest.split("/") or not rest.isprintable():
            raise ValueError("socket: the path of a UNIX socket begins with / and has no ..")
        return rest
    port, _, host = rest.partition("@")
    host = host.removeprefix("[").removesuffix("]")
    if kind not in ("inet", "inet6") or not host or not host.isprintable() or " " in host:
        raise ValueError("socket: unix:/PATH or inet:PORT@HOST")
    if not (port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        raise ValueError(f"socket: {port or 'nothing'} is no port, in inet:PORT@HOST")
    return host, int(port)


async def _open(socket: str) -> Streams:
    """Raises Trouble."""
    try:
        place = parse_socket(socket)
        async with asyncio.timeout(CONNECT_TIMEOUT):
            if isinstance(place, str):
                return await open_unix(place)
            return await asyncio.open_connection(*place)
    except TimeoutError as error:
        raise Trouble(f"the milter at {socket} did not answer in time") from error
    except (OSError, ValueError) as error:
        raise Trouble(f"no connection with the milter at {socket}: {error}") from error


def _text(terms: FilterTerms, name: str) -> str:
    (default,) = (option.default for option in Milter.options if option.name == name)
    return str(terms.options.get(name, default))


def _floor(terms: FilterTerms) -> int:
    """Raises ValueError."""
    text = _text(terms, "protocol")
    versions = range(milter.OLDEST_VERSION, milter.VERSION + 1)
    if not text.isascii() or not text.isdigit() or int(text) not in versions:
        raise ValueError(f"protocol: {versions.start} to {milter.VERSION}")
    return int(text)
