"""When a deferred recipient is tried again (Courier's formula; spec 4.2)."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Backoff:
    """Courier's settings by their names; `beta` is a number of attempts, at least 1."""

    alpha: timedelta = timedelta(minutes=5)
    beta: int = 3
    gamma: timedelta = timedelta(minutes=15)
    maxdelta: int = 3

    def delay(self, attempts: int) -> timedelta:
        """How long to wait after the given number of attempts (1 or more).

        Bursts of `beta` tries `alpha` apart; between the bursts `gamma` doubles up to
        2^maxdelta times.
        """
        if attempts % self.beta:
            return self.alpha
        doubled: int = 2 ** min(attempts // self.beta, self.maxdelta)
        return self.gamma * doubled
