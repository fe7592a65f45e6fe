"""Passwords that were right a moment ago (for AUTH)."""

import hashlib
import hmac
import os
import time

SECONDS = 300
MOST = 100_000


class PasswordCache:
    """Passwords that were right a moment ago, so that not every session costs a slow hash.

    Kept as an HMAC under a key of this process; bound to the stored hash, so that a changed
    password ends it.
    """

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._known: dict[bytes, float] = {}

    def knows(self, encoded: str, password: str) -> bool:
        return self._known.get(self._digest(encoded, password), 0.0) > time.monotonic()

    def learn(self, encoded: str, password: str) -> None:
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[self._digest(encoded, password)] = time.monotonic() + SECONDS

    def _digest(self, encoded: str, password: str) -> bytes:
        text = f"{encoded}\0{password}".encode("utf-8", "surrogateescape")
        return hmac.new(self._key, text, hashlib.sha256).digest()
