"""When a deferred recipient is tried again (Courier's formula; spec 4.2)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class Backoff:
    """Courier's settings by their names; `beta` is a number of attempts, at least 1."""

    alpha: timedelta = timedelta(minutes=5)
    beta: int = 3
    gamma: timedelta = timedelta(minutes=15)
    maxdelta: int = 3

    @classmethod
    def of(cls, times: Any) -> "Backoff":
        """That of `mta.policy.facts.Times`."""
        return cls(times.retryalpha, times.retrybeta, times.retrygamma, times.retrymaxdelta)

    def delay(self, attempts: int) -> timedelta:
        """How long to wait after the given number of attempts (1 or more).

        Bursts of `beta` tries `alpha` apart; between the bursts `gamma` doubles up to
        2^maxdelta times.
        """
        if attempts % self.beta:
            return self.alpha
        doubled: int = 2 ** min(attempts // self.beta, self.maxdelta)
        return self.gamma * doubled

    def forecast(
        self, attempts: int, next_attempt: datetime, expires_at: datetime, most: int
    ) -> list[datetime]:
        """When a recipient with so many attempts behind it will be tried, should all fail: at
        most `most` times. The first attempt at or after `expires_at` is the last one ever."""
        moments = [next_attempt]
        while len(moments) < most and moments[-1] < expires_at:
            attempts += 1
            moments.append(moments[-1] + self.delay(attempts))
        return moments[:most]
