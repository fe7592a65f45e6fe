"""The Delivered-To fields of a message, by which a mail loop is found (step 6; spec 3.8).

Each delivery to an account or a mailbox puts one before the message; who finds his own address
there has had it before.
"""

import re

# A field beyond this is not looked for; the ingress takes no header as long as this.
MAX_HEADER = 256 << 10

_FIELD = re.compile(rb"^delivered-to:[ \t]*(?:\r?\n[ \t]+)?([^\r\n]*)", re.M | re.I)


def delivered_to(content: bytes) -> frozenset[str]:
    """The addresses of all fields in the header, in lower case; `content` has CRLF line ends."""
    end = 0 if content.startswith(b"\r\n") else content.find(b"\r\n\r\n", 0, MAX_HEADER)
    header = content[: end if end >= 0 else MAX_HEADER].lower()
    if b"delivered-to:" not in header:
        return frozenset()
    values = _FIELD.findall(header)
    return frozenset(value.strip().decode("utf-8", "surrogateescape") for value in values)
