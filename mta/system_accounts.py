"""The system's users who get mail here, and whether they have instructions for an extension.

Looking up may wait for a name service or a file server, so it is done by the threads that may
wait. What was found is remembered for seconds: users come and go without a change of policy.
Facts: spec 3.8.
"""

import pwd
import time
from dataclasses import dataclass
from pathlib import Path

from mta.policy.facts import AccountFact
from mta.protocol.local_account import BadLocalPart, Candidate, candidates, instruction_files

CACHE_SECONDS = 10.0
CACHE_SIZE = 10_000
ROOT = 0


@dataclass(frozen=True, slots=True)
class SystemUser:
    name: str
    uid: int
    home: str


def find_user(name: str) -> SystemUser | None:
    """The system's user of that name."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return SystemUser(found.pw_name, found.pw_uid, found.pw_dir)


class SystemAccounts:
    """What the settings make of the system's users; safe to use from several threads."""

    def __init__(self, minuid: int, stem: str) -> None:
        self._minuid = max(minuid, ROOT + 1)
        self._stem = stem
        self._known: dict[str, tuple[float, AccountFact | None]] = {}

    def find(self, local_part: str) -> AccountFact | None:
        """Whose name a local part is, extensions included; None when it is nobody's."""
        known = self._known.get(local_part)
        if known and known[0] > time.monotonic():
            return known[1]
        found = self._look_up(local_part)
        if len(self._known) >= CACHE_SIZE:
            self._known.clear()
        self._known[local_part] = (time.monotonic() + CACHE_SECONDS, found)
        return found

    def _look_up(self, local_part: str) -> AccountFact | None:
        try:
            for candidate in candidates(local_part):
                user = find_user(candidate.account)
                if user is not None and user.uid >= self._minuid:
                    takes = self._has_instructions(user, candidate)
                    return AccountFact(user.name, candidate.extension, takes)
        except BadLocalPart:
            pass
        return None

    def _has_instructions(self, user: SystemUser, candidate: Candidate) -> bool:
        """Whether the user wants mail with that extension; without one he always does."""
        if not candidate.extension:
            return True
        try:
            files = list(instruction_files(candidate.extension, self._stem))
        except BadLocalPart:
            return False
        return any(_may_exist(Path(user.home, file.name)) for file in files)


def _may_exist(path: Path) -> bool:
    """Only who knows that there is no such file says so: we may be kept out of a home."""
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True
