"""The system's users who get mail here, and whether they have instructions for an extension.

Looking up may wait for a name service or a file server, so it is done by the threads that may wait,
and for seconds only. What was found is remembered for seconds: users come and go without a change
of policy. Facts: spec 3.8.
"""

import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from mta.policy.facts import AccountFact
from mta.policy.routing import CannotTell
from mta.protocol.local_account import BadLocalPart, Candidate, candidates, instruction_files
from mta.system_users import SystemUser, find_user

log = logging.getLogger(__name__)

CACHE_SECONDS = 10.0
CACHE_SIZE = 10_000
PATIENCE_SECONDS = 5.0

# The number that stands for no user (the kernel's overflow id): it has no home to deliver to.
NOBODY = 65534


@dataclass(frozen=True, slots=True)
class _Known:
    until: float
    account: AccountFact | None


class SystemAccounts:
    """What the settings make of the system's users; safe to use from several threads."""

    def __init__(self, minuid: int, stem: str) -> None:
        """`minuid` is the smallest number of a user; root never gets mail."""
        self._minuid = minuid
        self._stem = stem
        self._known: dict[str, _Known] = {}
        # A look-up that takes too long. Until it ends no other is begun: one that hangs holds up
        # its caller once, and not the whole process again and again.
        self._overdue: Future[AccountFact | None] | None = None

    def find(self, local_part: str) -> AccountFact | None:
        """Whose name a local part is, extensions included; None when it is nobody's.

        Raises CannotTell.
        """
        known = self._known.get(local_part)
        if known is None or known.until < time.monotonic():
            found = self._look_up_in_time(local_part)
            if len(self._known) >= CACHE_SIZE:
                self._known.clear()
            known = _Known(time.monotonic() + CACHE_SECONDS, found)
            self._known[local_part] = known
        return known.account

    def _look_up_in_time(self, local_part: str) -> AccountFact | None:
        if self._overdue is not None and not self._overdue.done():
            raise CannotTell("the system's users cannot be looked up")
        answer: Future[AccountFact | None] = Future()

        def look_up() -> None:
            try:
                answer.set_result(self._look_up(local_part))
            except Exception as error:
                answer.set_exception(error)

        threading.Thread(target=look_up, name="system-users", daemon=True).start()
        try:
            return answer.result(PATIENCE_SECONDS)
        except TimeoutError as error:
            self._overdue = answer
            log.warning("looking up the user %r takes too long", local_part)
            raise CannotTell("the system's users cannot be looked up in time") from error
        except OSError as error:
            log.warning("the user %r cannot be looked up: %s", local_part, error)
            raise CannotTell("the system's users cannot be looked up") from error

    def _look_up(self, local_part: str) -> AccountFact | None:
        """The first candidate who exists is the one, whoever that is."""
        try:
            for candidate in candidates(local_part):
                user = find_user(candidate.account)
                if user is not None:
                    return self._account(user, candidate)
        except BadLocalPart:
            pass
        return None

    def _account(self, user: SystemUser, candidate: Candidate) -> AccountFact | None:
        if not gets_mail(user, self._minuid):
            return None
        takes = not candidate.extension or self._has_instructions(user, candidate.extension)
        return AccountFact(user.name, candidate.extension, takes)

    def _has_instructions(self, user: SystemUser, extension: str) -> bool:
        try:
            files = list(instruction_files(extension, self._stem))
        except BadLocalPart:
            return False
        return any(_may_exist(Path(user.home, file.name)) for file in files)


def gets_mail(user: SystemUser, minuid: int) -> bool:
    return user.uid >= max(minuid, 1) and user.uid != NOBODY


def _may_exist(path: Path) -> bool:
    """Only who knows that there is no such file says so: we may be kept out of a home."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True
