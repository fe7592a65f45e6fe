"""What a DKIM verifier would hash (RFC 6376 3.4 and 3.7), to see whether a signature survives."""

import hashlib
import re


def hashes(content: bytes) -> list[tuple[str, str]]:
    """(of the signed header fields, of the body) in all four canonicalisations, for each
    signature of the message, from the top."""
    header, _, body = content.partition(b"\r\n\r\n")
    if content.startswith(b"\r\n"):
        header, body = b"", content[2:]
    fields = [field for field in re.split(rb"\r\n(?![ \t])", header) if field]
    return [
        (_digest(_header(fields, signature, relaxed)), _digest(_body(body, relaxed)))
        for signature in fields
        if _name(signature) in (b"dkim-signature", b"arc-message-signature")
        for relaxed in (False, True)
    ]


def _header(fields: list[bytes], signature: bytes, relaxed: bool) -> bytes:
    tags = re.sub(rb"[ \t\r\n]", b"", signature.partition(b":")[2])
    signed = re.search(rb"(?:^|;)h=([^;]*)", tags)
    left = list(fields)
    chosen = []
    for name in signed[1].lower().split(b":") if signed else []:
        found = [field for field in left if _name(field) == name]
        if found:
            # From the bottom; a name with no field left stands for "there is no other".
            left.reverse()
            left.remove(found[-1])
            left.reverse()
            chosen.append(found[-1])
        else:
            chosen.append(b"")
    return b"\r\n".join(_relaxed_field(field) if relaxed else field for field in chosen)


def _name(field: bytes) -> bytes:
    return field.partition(b":")[0].strip().lower()


def _relaxed_field(field: bytes) -> bytes:
    value = re.sub(rb"[ \t]+", b" ", field.partition(b":")[2].replace(b"\r\n", b"")).strip()
    return _name(field) + b":" + value


def _body(body: bytes, relaxed: bool) -> bytes:
    if relaxed:
        body = re.sub(rb"[ \t]+", b" ", re.sub(rb"[ \t]+(?=\r\n|\Z)", b"", body))
    return re.sub(rb"(\r\n)*\Z", b"", body) + b"\r\n"


def _digest(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()
