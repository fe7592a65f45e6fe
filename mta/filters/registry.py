"""The kinds of site filters by name: built-ins from a literal table, others from entry points.

A package of somebody else registers its kind under the entry-point group `mta.filters` as
``name = package.module:Class``, or a plain function (`mta.filters.site.plugin`). A kind is
imported when it is first asked for. One that cannot be loaded is Trouble for the rows that use
it, and for nothing else.
"""

import inspect
import logging
import threading
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from mta.filters.base import Kind, Trouble
from mta.filters.site.plugin import Plugin

logger = logging.getLogger(__name__)

GROUP = "mta.filters"

BUILT_IN = {
    "sieve": "mta.filters.site.sieve:Sieve",
    "command": "mta.filters.site.command:Command",
    "duplicate_slew": "mta.filters.site.duplicate_slew:DuplicateSlew",
    "sender_rate": "mta.filters.site.sender_rate:SenderRate",
    "sender_verification": "mta.filters.site.sender_verification:SenderVerification",
    "attachments": "mta.filters.site.attachments:Attachments",
    "headers": "mta.filters.site.headers:Headers",
}

_CONTRACT = ("name", "label", "stages", "options", "has_text", "check", "judge")


class Registry(Mapping[str, Kind]):
    """A mapping name -> kind, one instance each, made on first use. Thread-safe.

    `context` is what the appliance does for kinds that ask for it in their constructor.
    """

    def __init__(self, built_in: Mapping[str, str] = BUILT_IN, context: Any = None) -> None:
        self.context = context
        self._built_in = built_in
        self._kinds: dict[str, Kind] = {}
        self._foreign: dict[str, EntryPoint] | None = None
        self._lock = threading.RLock()

    def __getitem__(self, name: str) -> Kind:
        """Raises KeyError, and Trouble for one that is there and cannot be loaded."""
        known = self._kinds.get(name)
        if known is None:
            with self._lock:
                known = self._kinds[name] = self._load(name)
        return known

    def __iter__(self) -> Iterator[str]:
        return iter([*self._built_in, *self._others()])

    def __len__(self) -> int:
        return len(self._built_in) + len(self._others())

    def __contains__(self, name: object) -> bool:
        return name in self._built_in or name in self._others()

    def working(self) -> list[Kind]:
        """Those that can be loaded, the built-in ones first; what cannot is logged."""
        kinds = []
        for name in self:
            try:
                kinds.append(self[name])
            except Trouble as error:
                logger.error("%s", error)
        return kinds

    def find(self, name: str) -> Kind:
        """The kind. Raises Trouble that names it and says why it cannot be asked."""
        try:
            return self[name]
        except KeyError:
            raise Trouble(f"there is no kind of filter {name!r}") from None

    def _load(self, name: str) -> Kind:
        if name not in self:
            raise KeyError(name)
        try:
            return self._checked(name, self._factory(name))
        except Exception as error:  # whatever a foreign module does on import is its own trouble
            logger.exception("the kind of filter %s cannot be loaded", name)
            raise Trouble(f"the kind of filter {name!r} cannot be loaded: {error}") from error

    def _factory(self, name: str) -> Any:
        if name not in self._built_in:
            return self._others()[name].load()
        module, _, attribute = self._built_in[name].partition(":")
        return getattr(import_module(module), attribute)

    def _others(self) -> dict[str, EntryPoint]:
        """The entry points of others; looked for once. A built-in name stays built in."""
        with self._lock:
            if self._foreign is None:
                entries = entry_points(group=GROUP)
                self._foreign = {each.name: each for each in entries if self._is_free(each)}
            return self._foreign

    def _is_free(self, entry: EntryPoint) -> bool:
        if entry.name in self._built_in:
            logger.error("the filter %s of %s: the name is built in", entry.name, entry.value)
        return entry.name not in self._built_in

    def _checked(self, name: str, factory: Any) -> Kind:
        """An instance of the class. Raises TypeError when it is not a kind of that name."""
        if inspect.isfunction(factory):
            return Plugin(name, factory)
        if not callable(factory):
            raise TypeError(f"{factory!r} is neither a class nor a function")
        kind = factory(self.context) if _wants_context(factory) else factory()
        missing = [attribute for attribute in _CONTRACT if not hasattr(kind, attribute)]
        if missing:
            raise TypeError(f"it lacks {', '.join(missing)}")
        if kind.name != name:
            raise TypeError(f"it calls itself {kind.name!r}")
        checked: Kind = kind
        return checked


def _wants_context(factory: Any) -> bool:
    return "context" in inspect.signature(factory).parameters


kinds = Registry()
