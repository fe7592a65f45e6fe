"""What the runners of a process work with (step 5); `mta.runtime` puts it together."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from mta.protocol.mailbox_plan import FollowUp
from mta.queue.lease import Batch, LeasedRecipient
from mta.queue.limited_claim import Ask, claim_all
from mta.queue.outcomes import Recorded
from mta.queue.room import Terms
from mta.queue.together import Together
from mta.scheduler.contents import Contents, Room
from mta.scheduler.journal import Page, write_pages
from mta.scheduler.keeper import LeaseKeeper
from mta.transports.base import DeliveryContext, Pool, Transport

# A transport, and the batch whose session asks for more, or None.
_Claimant = tuple[Transport, Batch | None]


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


def _no_forwards(recipient: LeasedRecipient, addresses: Sequence[str], content: bytes) -> None:
    raise NotImplementedError("nobody here queues what is forwarded")


def _no_follow_up(recipient: LeasedRecipient, todo: FollowUp) -> None:
    raise NotImplementedError("nobody here carries out what rules ask for")


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a runner works with.

    `context(contents, committing)` makes a transport's context. `nudge(transport)` calls for
    another runner, `another(transport)` for one more in this process, which may have `slots` of
    them (0: not bounded here). `database()` lends a connection to this thread where it has none
    of its own, and the large contents of all runners share `room`. `reports_due()` is called when
    a DSN became due. `forward(recipient, addresses, content)` queues a message for those addresses
    in the recipient's place, once; `follow_up(recipient, todo)` does what else belongs to a
    delivery by rules. `stopping()` is true when this worker is asked to end. `owner`
    names this process on its leases. Runners claim and write together through `claims` and
    `journals`.
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
    forward: Callable[[LeasedRecipient, Sequence[str], bytes], None] = _no_forwards
    follow_up: Callable[[LeasedRecipient, FollowUp], None] = _no_follow_up
    keeper: LeaseKeeper = field(default_factory=LeaseKeeper)
    claims: Together[_Claimant, Batch | None] = field(default_factory=Together)
    journals: Together[Page, Recorded] = field(default_factory=Together)

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

    def claim(self, transport: Transport, held: Batch | None = None) -> Batch | None:
        """A batch of the destination that is next, or more for the session that holds one, by the
        policy in force; None when there is nothing."""
        return self.claims((transport, held), self._claim_all)

    def write(self, transport: Transport, page: Page) -> Recorded:
        return self.journals(page, partial(write_pages, partial(self.lent, transport)))

    def _claim_all(self, claimants: Sequence[_Claimant]) -> Sequence[Batch | None]:
        # Those of one worker are of one kind.
        with self.lent(claimants[0][0]):
            self.directory.refresh()
            return claim_all([Ask(each.name, self.terms(each), held) for each, held in claimants])
