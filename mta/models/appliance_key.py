"""Keys of this appliance, derived from its installation secret, one for each purpose."""

import hmac

from django.conf import settings


def appliance_key(purpose: bytes) -> bytes:
    """32 octets that are the same in every process and on every start."""
    return hmac.digest(settings.SECRET_KEY.encode(), b"courierweb " + purpose, "sha256")
