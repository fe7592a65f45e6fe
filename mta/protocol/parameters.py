"""ESMTP parameters of MAIL and RCPT (RFC 5321 4.1.2, RFC 1870, RFC 6152, RFC 6531, RFC 3461).

VERP and EXDATA are Courier's (draft-varshavchik-verp-smtpext, draft-varshavchik-exdata-smtpext),
PRDR is draft-hall-prdr, REQUIRETLS is RFC 8689.
"""

import re
from dataclasses import dataclass

from mta.protocol import xtext

_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
_FLAGS = {"SMTPUTF8", "VERP", "REQUIRETLS", "EXDATA", "PRDR"}
_MAIL_KEYWORDS = {"SIZE", "BODY", "RET", "ENVID", "AUTH"} | _FLAGS
_NOTIFY = {"SUCCESS", "FAILURE", "DELAY"}
_MAX_SIZE_DIGITS = 20


class ParameterError(ValueError):
    """A parameter that cannot be accepted. `unknown` tells 555 from 501 (RFC 5321 4.1.1.11)."""

    def __init__(self, text: str, *, unknown: bool = False) -> None:
        super().__init__(text)
        self.unknown = unknown


@dataclass(frozen=True, slots=True)
class MailParameters:
    """Parameters of MAIL; `size` in octets, 0 when not given; `ret` "FULL", "HDRS" or "".

    `exdata` and `prdr` say how the client understands a verdict for each recipient after DATA;
    at most one of them is set.
    """

    size: int = 0
    body: str = ""
    smtputf8: bool = False
    ret: str = ""
    envid: str = ""
    auth: str = ""
    verp: bool = False
    requiretls: bool = False
    exdata: bool = False
    prdr: bool = False


@dataclass(frozen=True, slots=True)
class RcptParameters:
    """Parameters of RCPT; `notify` upper case, comma separated; `orcpt` "type;address"."""

    notify: str = ""
    orcpt: str = ""


def parse_mail(text: str) -> MailParameters:
    """The parameters after MAIL FROM:<...>. Raises ParameterError."""
    given = _split(text)
    _refuse_unknown(given, _MAIL_KEYWORDS)
    if "EXDATA" in given and "PRDR" in given:
        raise ParameterError("EXDATA and PRDR exclude each other")
    return MailParameters(
        size=_size(given["SIZE"]) if "SIZE" in given else 0,
        body=_choice("BODY", given.get("BODY"), {"7BIT", "8BITMIME"}) if "BODY" in given else "",
        smtputf8=_flag("SMTPUTF8", given),
        ret=_choice("RET", given.get("RET"), {"FULL", "HDRS"}) if "RET" in given else "",
        envid=_xtext("ENVID", given.get("ENVID"), 100) if "ENVID" in given else "",
        auth=_xtext("AUTH", given.get("AUTH"), 500) if "AUTH" in given else "",
        verp=_flag("VERP", given),
        requiretls=_flag("REQUIRETLS", given),
        exdata=_flag("EXDATA", given),
        prdr=_flag("PRDR", given),
    )


def parse_rcpt(text: str) -> RcptParameters:
    """The parameters after RCPT TO:<...>. Raises ParameterError."""
    given = _split(text)
    _refuse_unknown(given, {"NOTIFY", "ORCPT"})
    return RcptParameters(
        notify=_notify(given.get("NOTIFY")) if "NOTIFY" in given else "",
        orcpt=_orcpt(given.get("ORCPT")) if "ORCPT" in given else "",
    )


def _split(text: str) -> dict[str, str | None]:
    given: dict[str, str | None] = {}
    for word in text.split():
        keyword, equals, value = word.partition("=")
        name = keyword.upper()
        if not _KEYWORD.match(keyword):
            raise ParameterError(f"{keyword!r} is not a parameter")
        if name in given:
            raise ParameterError(f"{name} is given twice")
        if equals and not value:
            raise ParameterError(f"{name} has an empty value")
        given[name] = value if equals else None
    return given


def _refuse_unknown(given: dict[str, str | None], known: set[str]) -> None:
    for name in given:
        if name not in known:
            raise ParameterError(f"{name} is not supported", unknown=True)


def _size(value: str | None) -> int:
    digits = value or ""
    if not (digits.isascii() and digits.isdigit()) or len(digits) > _MAX_SIZE_DIGITS:
        raise ParameterError("SIZE must be a number of octets")
    return int(digits)


def _choice(name: str, value: str | None, allowed: set[str]) -> str:
    word = (value or "").upper()
    if word not in allowed:
        raise ParameterError(f"{name} must be one of {', '.join(sorted(allowed))}")
    return word


def _flag(name: str, given: dict[str, str | None]) -> bool:
    if given.get(name) is not None:
        raise ParameterError(f"{name} takes no value")
    return name in given


def _notify(value: str | None) -> str:
    words = (value or "").upper().split(",")
    if words == ["NEVER"]:
        return "NEVER"
    if not words or not set(words) <= _NOTIFY or len(set(words)) != len(words):
        raise ParameterError("NOTIFY must be NEVER, or some of SUCCESS, FAILURE and DELAY")
    return ",".join(words)


def _xtext(name: str, value: str | None, limit: int) -> str:
    try:
        text = xtext.decode(value or "")
    except ValueError as error:
        raise ParameterError(f"{name} is not xtext: {error}") from error
    if not text or len(text) > limit or not text.isprintable():
        raise ParameterError(f"{name} must be 1 to {limit} printable characters")
    return text


def _orcpt(value: str | None) -> str:
    kind, semicolon, encoded = (value or "").partition(";")
    if not semicolon or not _KEYWORD.match(kind):
        raise ParameterError("ORCPT must be TYPE;ADDRESS")
    if kind.lower() == "utf-8":
        # RFC 6533 3: the address may stand as it is, or with \x{HEX}.
        address = re.sub(r"\\x\{([0-9A-Fa-f]{2,6})\}", _utf8_char, encoded)
    else:
        address = _xtext("ORCPT", encoded, 500)
    if not address or len(address) > 500 or not address.isprintable():
        raise ParameterError("ORCPT has no usable address")
    return f"{kind.lower()};{address}"


def _utf8_char(match: re.Match[str]) -> str:
    number = int(match.group(1), 16)
    if number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise ParameterError("ORCPT has an invalid character")
    return chr(number)
