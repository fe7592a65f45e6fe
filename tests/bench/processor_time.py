"""How much processor time every part of an appliance has used, from /proc."""

import os
from collections.abc import Mapping
from pathlib import Path

from tests.support.appliance import Appliance

_TICK_MILLISECONDS = 1000 / os.sysconf("SC_CLK_TCK")
# The fields of /proc/PID/stat behind the name: utime and stime, then those of dead children.
_OWN = slice(11, 13)
_OWN_AND_DEAD = slice(11, 15)


def by_part(appliance: Appliance) -> dict[str, float]:
    """Milliseconds by part, its processes taken together; ingress processes are one part."""
    used: dict[str, float] = {}
    for part in appliance.parts():
        first, *others = appliance.pids(part)
        name = "ingress" if part.startswith("ingress-") else part
        ticks = _ticks(first, _OWN_AND_DEAD) + sum(_ticks(pid, _OWN) for pid in others)
        used[name] = used.get(name, 0.0) + ticks * _TICK_MILLISECONDS
    return used


def per_message(
    before: Mapping[str, float], after: Mapping[str, float], messages: int
) -> dict[str, float]:
    """Milliseconds of each part for one of so many messages."""
    return {part: (after[part] - before.get(part, 0.0)) / messages for part in after}


def _ticks(pid: int, fields: slice) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return sum(map(int, stat.rpartition(")")[2].split()[fields]))
