"""The transports by name: built-ins from a literal table, others from entry points.

A package of somebody else registers its transport under the entry-point group `mta.transports`
as ``name = package.module:Class``. A built-in is imported when it is first asked for. A foreign
transport that cannot be loaded is logged and left out; the built-ins never depend on it.

`mta.transports.dsn` is not here: it composes reports for the scheduler, delivers to nobody and
claims no address.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from mta.transports.base import Done, Pool, Transport

logger = logging.getLogger(__name__)

GROUP = "mta.transports"

BUILT_IN = {
    "local": "mta.transports.local:Local",
    "esmtp": "mta.transports.esmtp:Esmtp",
    "discard": "mta.transports.discard:Discard",
}

_CONTRACT = ("name", "priority", "limit", "batch", "claim", "deliver")
_DEFAULTS = {"pool": Pool.REMOTE, "done": Done.RELAYED}


class UnknownTransportError(KeyError):
    """No transport has this name; the message lists those that there are."""

    def __str__(self) -> str:
        return str(self.args[0])


class Registry(Mapping[str, Transport]):
    """A mapping name -> transport, one instance each, made on first use. Thread-safe."""

    def __init__(self, built_in: Mapping[str, str] = BUILT_IN) -> None:
        self._built_in = dict(built_in)
        self._loaded: dict[str, Transport] = {}
        self._foreign: dict[str, Transport] | None = None
        self._lock = threading.RLock()

    def __getitem__(self, name: str) -> Transport:
        with self._lock:
            if name in self._built_in:
                return self._get_built_in(name)
            if name in self._get_foreign():
                return self._get_foreign()[name]
        known = ", ".join(sorted(self))
        raise UnknownTransportError(f"there is no transport {name!r}; known are: {known}")

    def __iter__(self) -> Iterator[str]:
        return iter([*self._built_in, *self._get_foreign()])

    def __len__(self) -> int:
        return len(self._built_in) + len(self._get_foreign())

    def by_priority(self) -> list[Transport]:
        """All transports in the order in which they are asked to claim an address."""
        return sorted(self.values(), key=lambda transport: (transport.priority, transport.name))

    def _get_built_in(self, name: str) -> Transport:
        if name not in self._loaded:
            module, _, attribute = self._built_in[name].partition(":")
            self._loaded[name] = _checked(name, getattr(import_module(module), attribute))
        return self._loaded[name]

    def _get_foreign(self) -> dict[str, Transport]:
        """The transports of others that work; looked for once."""
        with self._lock:
            if self._foreign is None:
                loaded = ((entry.name, self._load(entry)) for entry in entry_points(group=GROUP))
                self._foreign = {name: each for name, each in loaded if each is not None}
            return self._foreign

    def _load(self, entry: EntryPoint) -> Transport | None:
        if entry.name in self._built_in:
            logger.error("transport %s of %s: the name is built in", entry.name, entry.value)
            return None
        try:
            return _checked(entry.name, entry.load())
        except Exception:  # whatever a foreign module does on import must not stop the mail
            logger.exception("transport %s of %s cannot be loaded", entry.name, entry.value)
            return None


def _checked(name: str, factory: object) -> Transport:
    """An instance of the class. Raises TypeError when it is not a transport of that name."""
    if not callable(factory):
        raise TypeError(f"transport {name!r}: {factory!r} is not a class")
    transport = factory()
    missing = [attribute for attribute in _CONTRACT if not hasattr(transport, attribute)]
    if missing:
        raise TypeError(f"transport {name!r} lacks {', '.join(missing)}")
    if transport.name != name:
        raise TypeError(f"transport {name!r} calls itself {transport.name!r}")
    for attribute, value in _DEFAULTS.items():
        if not hasattr(transport, attribute):
            setattr(transport, attribute, value)
    checked: Transport = transport
    return checked


transports = Registry()


def get(name: str) -> Transport:
    """The transport of that name. Raises UnknownTransportError."""
    return transports[name]


def pool_of(name: str) -> Pool:
    """Which worker is to look after the mail of that transport, installed here or not."""
    return transports[name].pool if name in transports else Pool.REMOTE


def by_priority() -> list[Transport]:
    """All transports in the order in which they are asked to claim an address."""
    return transports.by_priority()
