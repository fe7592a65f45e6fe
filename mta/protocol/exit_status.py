"""What the exit code of a delivery command means, as a table with one default (step 6).

Facts: spec 3.8. Codes 64 to 78 are those of sysexits.h; 99, 100 and 111 are qmail's.
"""

from enum import StrEnum

STOP = 99
SOFTWARE = 70
# What the end by a signal counts as.
BY_SIGNAL = 77


class Effect(StrEnum):
    """What follows for the recipient."""

    CONTINUE = "continue"
    STOP = "stop"
    DEFER = "defer"
    FAIL = "fail"


_EFFECTS = {0: Effect.CONTINUE, STOP: Effect.STOP} | dict.fromkeys(
    (64, 65, 67, 68, 69, SOFTWARE, 76, BY_SIGNAL, 78, 100, 112), Effect.FAIL
)

# The statuses of RFC 3463 that say more than "failed".
_STATUSES = {
    64: "5.3.5",
    65: "5.6.0",
    67: "5.1.1",
    68: "5.1.2",
    76: "5.5.0",
    BY_SIGNAL: "5.7.1",
    78: "5.3.5",
    112: "5.3.0",
}


def effect(code: int) -> Effect:
    """The effect of an exit code; a negative one is the number of the signal that ended it.

    What nobody foresaw is tried again: that loses nothing.
    """
    return _EFFECTS.get(BY_SIGNAL if code < 0 else code, Effect.DEFER)


def enhanced_status(code: int) -> str:
    """The status to report for a code, of the class that fits its effect."""
    match effect(code):
        case Effect.CONTINUE | Effect.STOP:
            return "2.0.0"
        case Effect.DEFER:
            return "4.3.0"
        case Effect.FAIL:
            return _STATUSES.get(BY_SIGNAL if code < 0 else code, "5.3.0")
