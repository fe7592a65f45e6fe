"""Secrets that we must be able to read again, encrypted for storage (Fernet: AES and HMAC).

A dump of the database alone gives them away to nobody: the key is not in there.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken


class Unreadable(ValueError):
    """Sealed with another key, or damaged."""


def seal(text: str, key: bytes) -> str:
    """`text` encrypted under a key of 32 octets, as ASCII."""
    return _fernet(key).encrypt(text.encode()).decode()


def unseal(sealed: str, key: bytes) -> str:
    """What was sealed. Raises Unreadable."""
    try:
        return _fernet(key).decrypt(sealed.encode()).decode()
    except (InvalidToken, UnicodeError) as error:
        raise Unreadable("sealed with another key, or damaged") from error


def _fernet(key: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(key))
