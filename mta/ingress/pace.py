"""How fast a content comes in: a client that sends it drop by drop is not waited for.

No timer runs for it. The octets of each packet are added up, and the one timer that the connection
has anyhow looks at the sum when a window has passed.
"""

WINDOW_SECONDS = 60.0


class Pace:
    """That of one connection. Times are those of the event loop, in seconds."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._octets = 0
        self._least = 0

    @property
    def is_measured(self) -> bool:
        """Whether a content is on its way."""
        return self._since is not None

    def begin(self, now: float, least: int) -> None:
        """`least` octets a second are expected from now on; 0 for any pace."""
        self._since = now
        self._octets = 0
        self._least = least

    def end(self) -> None:
        self._since = None

    def came(self, octets: int) -> None:
        self._octets += octets

    def is_too_slow(self, now: float) -> bool:
        """Whether less came than should have since the window began; then a new one begins."""
        if self._since is None or now - self._since < WINDOW_SECONDS:
            return False
        too_slow = self._octets < self._least * (now - self._since)
        self.begin(now, self._least)
        return too_slow
