"""The process that delivers for one owner (step 6): started by the account transport.

It reads our code with our rights, gives these up for those of the owner, for good, and only then
touches what is his. It has nothing of ours: no environment, no descriptor but its socket. Root is
never its owner.
"""

import contextlib
import os
import resource
import socket
import sys

from mta.transports.account_job import Conversation, Owner, owner_from, packet
from mta.transports.account_steps import carry_out

# Octets of memory that one command may make its own.
_MAX_DATA = 2 << 30


def main() -> None:
    """Ends when the transport does, and ends what it has started then."""
    with (
        contextlib.suppress(ConnectionError),
        Conversation(socket.socket(fileno=int(sys.argv[1]))) as transport,
    ):
        owner = owner_from(transport.receive())
        become(owner)
        os.umask(0o077)
        while (given := transport.receive_job()) is not None:
            job, message = given
            _limit(job.patience)
            try:
                report = carry_out(job, owner, message, transport)
            finally:
                os.close(message)
            transport.send(packet(report))


def become(owner: Owner) -> None:
    """Gives up every right but the owner's. Raises PermissionError."""
    if owner.uid == 0:
        raise PermissionError("nothing is delivered as root")
    if os.geteuid() == 0:
        os.setgroups(owner.groups)
        os.setresgid(owner.gid, owner.gid, owner.gid)
        os.setresuid(owner.uid, owner.uid, owner.uid)
    if os.getresuid() != (owner.uid,) * 3:
        raise PermissionError(f"only root may deliver as {owner.name}")


def _limit(patience: float) -> None:
    """What every command inherits; who works without a break for all its time has lost its way."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seconds = int(patience) + 1
    _lower(resource.RLIMIT_CPU, seconds)
    _lower(resource.RLIMIT_DATA, _MAX_DATA)


def _lower(kind: int, limit: int) -> None:
    """The soft limit; the hard one stays, and is never exceeded."""
    _, hard = resource.getrlimit(kind)
    soft = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (soft, hard))


if __name__ == "__main__":
    main()
