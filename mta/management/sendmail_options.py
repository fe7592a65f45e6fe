"""The command line of `sendmail`: Courier's options, and the classic ones that change nothing.

Options are single-dash words with their value joined or apart (-fbob, -f bob), which argparse
does not read; so they are parsed here, by hand.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NOTIFY = {
    "never": "NEVER",
    "success": "SUCCESS",
    "fail": "FAILURE",
    "failure": "FAILURE",
    "delay": "DELAY",
}
_RET = {"full": "FULL", "hdrs": "HDRS"}
MAX_ENVID = 100

# Options with a value, joined or apart.
_VALUED = frozenset("frFNRVSBLhpXdOC")
# Single letters without a value; what follows them in the same word is theirs.
_IGNORED = frozenset("tioqvmeUGA")
# Whole words without a value.
_FLAGS = ("-bcc", "-n", "-verp")
_ELSEWHERE = {
    "-bs": "SMTP on standard input is not offered: connect to the SMTP port",
    "-bp": "use the command mailq",
    "-bi": "aliases are in force as soon as they are set: use the command alias",
    "-bd": "the SMTP server is started by deploy/run",
    "-bv": "addresses cannot be verified without sending",
    "-bt": "there is no address test mode",
}


class UsageError(ValueError):
    """The options cannot be meant; the message says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """`sender` is None when -f was not given, "" for the null reverse-path."""

    sender: str | None = None
    full_name: str = ""
    notify: str = ""
    ret: str = ""
    envid: str = ""
    bcc_only: bool = False
    print_only: bool = False
    verp: bool = False
    recipients: tuple[str, ...] = ()


def parse_options(arguments: Sequence[str], only: frozenset[str] | None = None) -> Options:
    """Read the arguments; with `only` those options. Raises UsageError."""
    values: dict[str, str] = {}
    recipients: list[str] = []
    flags = set()
    for option, value in _words(arguments):
        if option == "":
            recipients.append(value)
        elif only is not None and option not in only:
            raise UsageError(f"{option}: there is no such option here")
        elif option in _ELSEWHERE:
            raise UsageError(f"{option}: {_ELSEWHERE[option]}")
        elif option in _FLAGS:
            flags.add(option)
        elif option[1] in _VALUED:
            values[option[1]] = value
    if values.get("S", "NONE").upper() != "NONE":
        raise UsageError("-S: the security extension is not available")
    sender = values.get("f", values.get("r"))
    return Options(
        sender=None if sender is None else sender.strip().removeprefix("<").removesuffix(">"),
        full_name=values.get("F", ""),
        notify=_notify(values.get("N", "")),
        ret=_ret(values.get("R", "")),
        envid=_envid(values.get("V", "")),
        bcc_only="-bcc" in flags,
        print_only="-n" in flags,
        verp="-verp" in flags,
        recipients=tuple(recipients),
    )


def _words(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(option, value) pairs; a recipient is ("", address)."""
    rest = iter(arguments)
    for word in rest:
        if word == "--":
            yield from (("", recipient) for recipient in rest)
        elif not word.startswith("-") or word == "-":
            yield "", word
        elif word in _ELSEWHERE or word in _FLAGS:
            yield word, ""
        elif word[1] in _VALUED:
            yield word[:2], word[2:] or _next(word, rest)
        elif word[1] in _IGNORED or word == "-bm":
            yield word[:2], ""
        else:
            raise UsageError(f"{word}: there is no such option")


def _next(word: str, rest: Iterator[str]) -> str:
    for value in rest:
        return value
    raise UsageError(f"{word}: a value is missing")


def _notify(text: str) -> str:
    if not text:
        return ""
    words = [word.strip().lower() for word in text.split(",")]
    if not all(word in _NOTIFY for word in words):
        raise UsageError(f"-N {text}: never, or some of success, fail, delay is expected")
    notify = list(dict.fromkeys(_NOTIFY[word] for word in words))
    if "NEVER" in notify and len(notify) > 1:
        raise UsageError(f"-N {text}: never stands alone")
    return ",".join(notify)


def _ret(text: str) -> str:
    if text and text.lower() not in _RET:
        raise UsageError(f"-R {text}: full or hdrs is expected")
    return _RET.get(text.lower(), "")


def _envid(text: str) -> str:
    if len(text) > MAX_ENVID or not all(" " < char <= "~" for char in text):
        raise UsageError(f"-V: at most {MAX_ENVID} printable ASCII characters, no blanks")
    return text
