"""What the runners of a process work with (step 5); `mta.runtime` puts it together."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

from mta.queue.limited_claim import Terms
from mta.scheduler.contents import Contents, Room
from mta.scheduler.keeper import LeaseKeeper
from mta.transports.base import DeliveryContext, Pool, Transport


class Directory(Protocol):
    """What the runner asks of the directory; `book` is what transports claim by."""

    @property
    def settings(self) -> Any: ...

    @property
    def policy(self) -> Any: ...

    @property
    def backuprelay(self) -> str: ...

    def refresh(self) -> object: ...

    def book(self, reverse_path: str) -> object: ...


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a runner works with.

    `context(contents, committing)` makes a transport's context. `nudge(transport)` calls for
    another runner, `another(transport)` for one more in this process, which may have `slots` of
    them (0: not bounded here). `database()` lends a connection to this thread where it has none
    of its own, and the large contents of all runners share `room`. `reports_due()` is called when
    a DSN became due. `stopping()` is true when this worker is asked to end. `owner` names this
    process on its leases.
    """

    transports: Sequence[Transport]
    directory: Directory
    context: Callable[[Contents, Callable[[Iterable[int]], None]], DeliveryContext]
    nudge: Callable[[str], None]
    reports_due: Callable[[], None]
    stopping: Callable[[], bool]
    owner: str
    another: Callable[[str], None] = lambda name: None
    slots: int = 0
    database: Callable[[], AbstractContextManager[None]] = nullcontext
    room: Room | None = None
    keeper: LeaseKeeper = field(default_factory=LeaseKeeper)

    def lent(self, transport: Transport) -> AbstractContextManager[None]:
        """Only who waits for others has so many threads that they share connections."""
        return self.database() if transport.pool is Pool.REMOTE else nullcontext()

    def terms(self, transport: Transport) -> Terms:
        """`maxhost` and what was learnt count for destinations; the transport that delivers here
        has none, and only its rows limit it."""
        settings = self.directory.settings
        is_remote = transport.pool is Pool.REMOTE
        return Terms(
            limit=(transport.limit or settings.maxhost) if is_remote else 0,
            batch=settings.batchsize if is_remote else transport.batch,
            lease=settings.lease,
            owner=self.owner,
            slots=self.slots,
            adaptive=is_remote,
        )
