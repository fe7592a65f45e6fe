"""Which attachments are not wanted: by name, extension, type, what they are, size and number.

A rule looks at what a recipient would save and open: decoded names, decoded octets, and what is in
archives. Names in archives are judged as those of attachments are.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mta.filters.archives import Contents, Reader, is_zip
from mta.filters.parts import Part
from mta.filters.sieve.wildcards import TooCostly, wildcard_match

_RUN_WHEN_OPENED = (
    "ade adp app appx bas bat chm cmd com cpl dll exe gadget hta inf ins iso img isp jar js jse lnk"
    " mde msc msi msix msp mst pif ps1 psc1 reg scf scr sct shb sys url vb vbe vbs vhd vhdx vxd ws"
    " wsc wsf wsh xll"
)
_DOCUMENTS = (
    "avi bmp csv doc docx gif htm html jpeg jpg mov mp3 mp4 odt pdf png ppt pptx rtf tif tiff txt"
    " wav xls xlsx xml zip"
)
# What Windows, which most recipients have, runs or lets run when it is opened.
DANGEROUS = tuple(_RUN_WHEN_OPENED.split())
# What people think a file is when its real extension is hidden from them.
_HARMLESS = frozenset(_DOCUMENTS.split())
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"MZ", "a Windows program"),
    (b"\x7fELF", "a Linux program"),
    (b"\xfe\xed\xfa\xce", "a macOS program"),
    (b"\xfe\xed\xfa\xcf", "a macOS program"),
    (b"\xce\xfa\xed\xfe", "a macOS program"),
    (b"\xcf\xfa\xed\xfe", "a macOS program"),
    (b"\xca\xfe\xba\xbe", "a Java or macOS program"),
    (b"#!", "a script"),
    (b"L\0\0\0\x01\x14\x02\0", "a Windows shortcut"),
)
_ZIP_TYPES = ("application/zip", "application/x-zip-compressed")
_MAX_NAME = 500
_MAX_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Rules:
    """What is not wanted; empty, False and 0 for whatever does not matter. Extensions are without
    the dot and in lower case, types are globs ("video/*"), `max_size` is octets decoded."""

    names: tuple[str, ...] = ()
    extensions: frozenset[str] = frozenset()
    types: tuple[str, ...] = ()
    executables: bool = False
    double_extensions: bool = False
    archives: bool = True
    encrypted_archives: bool = False
    unreadable_archives: bool = False
    max_size: int = 0
    max_count: int = 0


def examine(parts: Sequence[Part], rules: Rules) -> list[str]:
    """What is wrong with the attachments, as sentences; [] when nothing is."""
    attachments = [part for part in parts if _is_attachment(part)]
    found = [problem for part in attachments for problem in _of_part(part, rules)]
    if rules.archives:
        reader = Reader()
        for part in attachments:
            if may_be_archive(part):
                found += _of_archive(part, reader.read(part.body), rules)
    if 0 < rules.max_count < len(attachments):
        found.append(f"{len(attachments)} attachments, {rules.max_count} may be")
    return list(dict.fromkeys(found))


def may_be_archive(part: Part) -> bool:
    """By its content or by what it says; something else may stand before a ZIP archive."""
    named = part.name.casefold().endswith((".zip", ".jar")) or part.content_type in _ZIP_TYPES
    return is_zip(part.body) or named


def _is_attachment(part: Part) -> bool:
    """Whatever a reader offers to save: the text of a letter has no name."""
    return bool(part.name or part.is_attachment or not part.content_type.startswith("text/"))


def _of_part(part: Part, rules: Rules) -> Iterator[str]:
    shown = f"the attachment {part.name[:_MAX_SHOWN]!r}" if part.name else "an attachment"
    yield from _of_name(part.name, shown, rules)
    for glob in rules.types:
        if _matches(part.content_type, glob):
            yield f"{shown} is of type {part.content_type[:_MAX_SHOWN]}"
    if rules.executables and (what := _program(part.body)):
        yield f"{shown} is {what}"
    if 0 < rules.max_size < len(part.body):
        yield f"{shown} has {len(part.body)} octets, {rules.max_size} may be"


def _of_archive(part: Part, contents: Contents, rules: Rules) -> Iterator[str]:
    within = f"in the archive {part.name[:_MAX_SHOWN]!r}" if part.name else "in an archive"
    for member in contents.members:
        shown = f"the file {member.name[:_MAX_SHOWN]!r} {within}"
        yield from _of_name(member.name, shown, rules)
        if rules.executables and (what := _program(member.head)):
            yield f"{shown} is {what}"
    if rules.encrypted_archives and contents.is_encrypted:
        yield f"there are encrypted files {within}"
    if rules.unreadable_archives and contents.unreadable:
        yield f"{contents.unreadable} ({within})"


def _of_name(name: str, shown: str, rules: Rules) -> Iterator[str]:
    folded = name[-_MAX_NAME:].casefold()
    endings = [piece.strip() for piece in folded.split(".")[1:]]
    for glob in rules.names:
        if _matches(folded, glob):
            yield f"{shown} matches {glob}"
    if not endings:
        return
    if endings[-1] in rules.extensions:
        yield f"{shown} ends in .{endings[-1]}"
    if rules.double_extensions and _hides(endings):
        yield f"{shown} hides what it is"


def _hides(endings: Sequence[str]) -> bool:
    """ "letter.pdf.exe": a harmless ending before one that is run."""
    return len(endings) > 1 and endings[-2] in _HARMLESS and endings[-1] in DANGEROUS


def _program(octets: bytes) -> str:
    return next((what for magic, what in _MAGIC if octets.startswith(magic)), "")


def _matches(text: str, glob: str) -> bool:
    try:
        return wildcard_match(text.casefold(), glob.casefold())
    except TooCostly:
        return True
