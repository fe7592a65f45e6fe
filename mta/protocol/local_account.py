"""Which account and which instruction file a local part stands for. Pure, for steps 2 and 6.

A local part is an account's name, or that name with an extension behind "-" or one of the other
separators. The extension selects one of the account's instruction files. Facts: spec 3.8, A4, A5.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SEPARATORS = "-+"
MAX_SEPARATORS = 3
DEFAULT_STEM = "courier"
_DEFAULT = "default"

_FORBIDDEN = re.compile(r"[/\x00-\x1f\x7f]")
_MAX_FILE_NAME = 255


class BadLocalPart(ValueError):
    """A local part that can name no account and no file; the message says why."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account that may be meant, with the extension in its normal form ("" for none)."""

    account: str
    extension: str


@dataclass(frozen=True, slots=True)
class InstructionFile:
    """A file to look for in the home. `default` is what a "-default" in its name stands for."""

    name: str
    default: str = ""


def candidates(local_part: str, separators: str = SEPARATORS) -> Iterator[Candidate]:
    """Accounts in the order in which they are looked up; the first that exists is the one.

    Raises BadLocalPart for what outsiders may not address.
    """
    if not local_part or local_part.startswith(".") or "!" in local_part:
        raise BadLocalPart("the local part names no account")
    if _FORBIDDEN.search(local_part):
        raise BadLocalPart("the local part holds a character that no account has")
    cuts = [place for place, char in enumerate(local_part) if char in separators]
    ends = [*cuts[: MAX_SEPARATORS + 1], len(local_part)]
    if len(cuts) > MAX_SEPARATORS:
        ends.pop()
    hyphens = str.maketrans(dict.fromkeys(separators, "-"))
    for end in reversed(ends):
        if end:
            yield Candidate(local_part[:end], local_part[end + 1 :].translate(hyphens))


def instruction_files(extension: str, stem: str = DEFAULT_STEM) -> Iterator[InstructionFile]:
    """The files for an extension, the most particular first. Raises BadLocalPart.

    A dot in the extension is a colon in the name, so that no name leads out of the home.
    """
    if _FORBIDDEN.search(extension):
        raise BadLocalPart("the extension holds a character that no file name has")
    if not extension:
        yield InstructionFile(f".{stem}")
        return
    words = extension.replace(".", ":").split("-")
    whole = InstructionFile(f".{stem}-{'-'.join(words)}")
    if len(whole.name.encode("utf-8", "surrogateescape")) > _MAX_FILE_NAME:
        raise BadLocalPart("the extension is longer than a file name")
    yield whole
    for length in range(len(words) - 1, -1, -1):
        name = "-".join([f".{stem}", *words[:length], _DEFAULT])
        yield InstructionFile(name, "-".join(extension.split("-")[length:]))


def filter_scripts(name: str, extension: str) -> Iterator[str]:
    """The names of an account's filter scripts, the most particular first (spec 6.3). Raises
    BadLocalPart."""
    if _FORBIDDEN.search(extension):
        raise BadLocalPart("the extension holds a character that no file name has")
    words = [name, *extension.replace(".", ":").split("-")] if extension else [name]
    if len("-".join([*words, _DEFAULT]).encode("utf-8", "surrogateescape")) > _MAX_FILE_NAME:
        raise BadLocalPart("the extension is longer than a file name")
    yield "-".join(words)
    for length in range(len(words), 0, -1):
        yield "-".join([*words[:length], _DEFAULT])
    yield _DEFAULT


def extension_variables(extension: str, default: str) -> dict[str, str]:
    """EXT to EXT4 and DEFAULT as commands find them: EXT2 begins behind the first hyphen."""
    words = extension.split("-")
    variables = {"EXT": extension, "DEFAULT": default}
    variables |= {f"EXT{place}": "-".join(words[place - 1 :]) for place in (2, 3, 4)}
    return variables
