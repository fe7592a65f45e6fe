"""Site filter: a Python function of somebody else's package, by the entry point `mta.filters`.

The function gets the request and says its verdict; None is to let the mail pass. Its keyword-only
parameters with a default are the options of its rows. One that is no coroutine runs in a thread, so
it may block. A plug-in that needs more is a class with the attributes of `mta.filters.base.Kind`.
"""

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from mta.filters.base import Option
from mta.protocol.site_filter import FilterRequest, FilterStage, FilterTerms, FilterVerdict

THREADS = 32
TYPES = (str, int, float, bool, list)

_threads = ThreadPoolExecutor(THREADS, "filter")


class Plugin:
    """One function as a kind; the first line of its docstring is what the console calls it."""

    stages = frozenset(FilterStage)
    has_text = False

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        """Raises TypeError when the function cannot be called with a request and options."""
        self.name = name
        self.label = (inspect.getdoc(function) or name).splitlines()[0].rstrip(".")
        self._function = function
        self.options = _options(function)

    def check(self, terms: FilterTerms) -> None:
        known = {option.name: option for option in self.options}
        for name, value in terms.options.items():
            option = known.get(name)
            if option is None:
                raise ValueError(f"there is no option {name}")
            if not isinstance(value, option.type):
                raise ValueError(f"{name} is to be of the type {option.type.__name__}")

    async def judge(self, request: FilterRequest, terms: FilterTerms) -> FilterVerdict:
        if inspect.iscoroutinefunction(self._function):
            said = await self._function(request, **terms.options)
        else:
            loop = asyncio.get_running_loop()
            said = await loop.run_in_executor(_threads, self._call, request, terms)
        verdict: FilterVerdict = FilterVerdict() if said is None else said
        return verdict

    def _call(self, request: FilterRequest, terms: FilterTerms) -> Any:
        return self._function(request, **terms.options)


def _options(function: Callable[..., Any]) -> tuple[Option, ...]:
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind is not parameters[0].POSITIONAL_OR_KEYWORD:
        raise TypeError("its first parameter is the request")
    options = []
    for parameter in parameters[1:]:
        if parameter.kind is not parameter.KEYWORD_ONLY or type(parameter.default) not in TYPES:
            raise TypeError(f"the parameter {parameter.name} is no keyword with a plain default")
        label = parameter.name.replace("_", " ").capitalize()
        options.append(Option(parameter.name, label, parameter.default))
    return tuple(options)
