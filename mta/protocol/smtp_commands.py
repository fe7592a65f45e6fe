"""The MAIL and RCPT commands with their parameters (RFC 5321 4.1.1, RFC 1870, 3461, 6152, 6531,
8689, Courier's VERP and EXDATA, PRDR).

A parameter is written only when the peer offers its extension.
"""

from collections.abc import Mapping

from mta.protocol import address, xtext
from mta.protocol.envelope import DOUBLE_BOUNCE_SENDER
from mta.protocol.exdata import Verdicts

_UTF8_XTEXT_SPECIAL = frozenset("+=\\")


def mail_command(
    reverse_path: str,
    offered: Mapping[str, str],
    *,
    size: int,
    eight_bit: bool = False,
    smtputf8: bool = False,
    ret: str = "",
    envid: str = "",
    verp: bool = False,
    verdicts: Verdicts = Verdicts.ONE_FOR_ALL,
    requiretls: bool = False,
) -> str:
    """MAIL FROM for a message of `size` octets. `offered` has the peer's extensions as keys.

    `verp` and `verdicts` are the caller's choice, who knows what the peer can do.
    """
    # Our own mark for "never report" is no address to anybody else.
    path = "" if reverse_path == DOUBLE_BOUNCE_SENDER else address.wire(reverse_path)
    words = [f"MAIL FROM:<{path}>"]
    if smtputf8 and "SMTPUTF8" in offered:
        words.append("SMTPUTF8")
    if "8BITMIME" in offered:
        words.append("BODY=8BITMIME" if eight_bit else "BODY=7BIT")
    if verp:
        words.append("VERP")
    if "DSN" in offered and ret:
        words.append(f"RET={ret}")
    if "DSN" in offered and envid:
        words.append(f"ENVID={xtext.encode(envid)}")
    if "SIZE" in offered:
        words.append(f"SIZE={size}")
    if verdicts:
        words.append(verdicts.value)
    if requiretls and "REQUIRETLS" in offered:
        words.append("REQUIRETLS")
    return " ".join(words)


def rcpt_command(
    recipient: str, offered: Mapping[str, str], *, notify: str = "", original_recipient: str = ""
) -> str:
    """RCPT TO. `original_recipient` is "type;address" in clear."""
    words = [f"RCPT TO:<{address.wire(recipient)}>"]
    if "DSN" in offered and notify:
        words.append(f"NOTIFY={notify}")
    if "DSN" in offered and original_recipient:
        words.append(f"ORCPT={orcpt(original_recipient)}")
    return " ".join(words)


def orcpt(original_recipient: str) -> str:
    """The ORCPT value; an address beyond ASCII takes the form of RFC 6533 3."""
    kind, semicolon, value = original_recipient.partition(";")
    if not semicolon:
        kind, value = "rfc822", original_recipient
    if value.isascii() and kind.lower() != "utf-8":
        return f"{kind};{xtext.encode(value)}"
    return f"utf-8;{_utf8_addr_xtext(value)}"


def _utf8_addr_xtext(text: str) -> str:
    return "".join(
        char if "!" <= char <= "~" and char not in _UTF8_XTEXT_SPECIAL else f"\\x{{{ord(char):X}}}"
        for char in text
    )
