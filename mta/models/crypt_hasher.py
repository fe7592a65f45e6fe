"""Passwords that came with their accounts from another server (`mta.protocol.sha_crypt`).

Whoever signs in with one uses PLAIN or LOGIN; a password that is set anew works with SCRAM too.
"""

from typing import Any

from django.contrib.auth.hashers import BasePasswordHasher, mask_hash

from mta.protocol import sha_crypt


class ShaCryptHasher(BasePasswordHasher):
    """Django's view of "sha_crypt$6$SALT$HASH". It verifies; new passwords get a better hash."""

    algorithm = "sha_crypt"

    def encode(self, password: str, salt: str) -> str:
        raise NotImplementedError("passwords are verified with it, never made")

    def decode(self, encoded: str) -> dict[str, Any]:
        _, method, *_, salt, digest = encoded.split("$")
        return {"algorithm": self.algorithm, "method": method, "salt": salt, "hash": digest}

    def verify(self, password: str, encoded: str) -> bool:
        return sha_crypt.verify(password, encoded.removeprefix(self.algorithm))

    def safe_summary(self, encoded: str) -> Any:
        parts = self.decode(encoded)
        return {"algorithm": self.algorithm, "hash": mask_hash(parts["hash"])}

    def must_update(self, encoded: str) -> bool:
        return False

    def harden_runtime(self, password: str, encoded: str) -> None:
        """It costs what crypt(3) made it cost."""
