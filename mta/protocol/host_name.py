"""The name of a client: what its address claims to be called, confirmed by that name (RFC 8601 3).

Only a confirmed name may be believed: anyone can write any name into their reverse zone.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from mta.protocol.dns_questions import (
    PolicyResolver,
    client_address,
    has_address,
    same_family,
)
from mta.protocol.mx import DnsTrouble, MxError

MAX_NAMES = 5
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+\Z")


class NameState(StrEnum):
    NAME = "name"
    NONE = "none"
    MISMATCH = "mismatch"
    TROUBLE = "trouble"


@dataclass(frozen=True, slots=True)
class HostName:
    """`name` is "" unless the state is NAME; `claimed` is for people to read, never to trust."""

    state: NameState
    name: str = ""
    claimed: str = ""


def verified_name(client_ip: str, resolver: PolicyResolver) -> HostName:
    """Raises ValueError when `client_ip` is no address."""
    client = client_address(client_ip)
    try:
        names = resolver.ptr(str(client))
    except DnsTrouble:
        return HostName(NameState.TROUBLE)
    except MxError:
        return HostName(NameState.NONE)
    # What is no host name would only be harmful in a log or a reply.
    claimed = [name for name in names if _HOST_NAME.match(name)][:MAX_NAMES]
    if not names:
        return HostName(NameState.NONE)
    trouble = False
    for name in claimed:
        try:
            if has_address(same_family(name, client, resolver), client):
                return HostName(NameState.NAME, name, name)
        except DnsTrouble:
            trouble = True
        except MxError:
            continue
    state = NameState.TROUBLE if trouble else NameState.MISMATCH
    return HostName(state, claimed=claimed[0] if claimed else "")
