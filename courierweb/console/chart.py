"""The 24 h chart as numbers for an SVG: stacked columns, and markers where the policy changed.

The picture is WIDTH x HEIGHT units and is stretched to the page, so that no text is in it; the
labels are HTML around it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from mta.models import PolicyChange
from mta.queue.history import ChartPoint

WIDTH = 960.0
HEIGHT = 200.0
GAP = 0.2
SERIES = {
    "accepted": ("accepted",),
    "delivered": ("delivered", "relayed"),
    "deferred": ("deferred",),
    "refused": ("refused",),
    "bounced": ("bounced", "expired"),
}


@dataclass(frozen=True, slots=True)
class Block:
    """One series in one column."""

    series: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """A quarter of an hour; `summary` is what a pointer over it shows."""

    x: float
    width: float
    blocks: tuple[Block, ...]
    summary: str


@dataclass(frozen=True, slots=True)
class Marker:
    """A change, or several at nearly one time, of the policy."""

    x: float
    percent: float
    change_id: int
    summary: str


@dataclass(frozen=True, slots=True)
class Chart:
    columns: tuple[Column, ...]
    markers: tuple[Marker, ...]
    top: int
    hours: tuple[datetime, ...]
    totals: dict[str, int]

    @property
    def empty(self) -> bool:
        return not any(self.totals.values())


def draw(points: Sequence[ChartPoint], changes: Iterable[PolicyChange]) -> Chart:
    """`points` are evenly spaced and in order; `changes` lie in their span."""
    rows = [(point.at, _series_counts(point)) for point in points]
    top = _round_up(max((sum(counts.values()) for _, counts in rows), default=0))
    step = WIDTH / max(len(rows), 1)
    columns = tuple(
        Column(index * step, step * (1 - GAP), _stack(counts, top), _summary(at, counts))
        for index, (at, counts) in enumerate(rows)
    )
    totals = {name: sum(counts[name] for _, counts in rows) for name in SERIES}
    hours = tuple(at for at, _ in rows[:: max(len(rows) // 6, 1)])
    return Chart(columns, _markers(rows, changes), top, hours, totals)


def _series_counts(point: ChartPoint) -> dict[str, int]:
    return {
        name: sum(point.counts.get(kind, 0) for kind in kinds) for name, kinds in SERIES.items()
    }


def _stack(counts: dict[str, int], top: int) -> tuple[Block, ...]:
    blocks, y = [], HEIGHT
    for name, count in counts.items():
        height = HEIGHT * count / top
        y -= height
        if count:
            blocks.append(Block(name, round(y, 2), round(height, 2)))
    return tuple(blocks)


def _summary(at: datetime, counts: dict[str, int]) -> str:
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    return f"{at:%H:%M}: {told or 'nothing'}"


def _markers(
    rows: Sequence[tuple[datetime, dict[str, int]]], changes: Iterable[PolicyChange]
) -> tuple[Marker, ...]:
    """One marker for each column in which something changed."""
    if len(rows) < 2:
        return ()
    first, step = rows[0][0], rows[1][0] - rows[0][0]
    by_column: dict[int, list[PolicyChange]] = {}
    for change in changes:
        by_column.setdefault((change.at - first) // step, []).append(change)
    markers = []
    for column, group in sorted(by_column.items()):
        share = (column + 0.5) / len(rows)
        actors = ", ".join(sorted({change.actor for change in group}))
        many = f"{len(group)} changes" if len(group) > 1 else "1 change"
        summary = f"{group[-1].at:%H:%M}: {many} of the policy by {actors}"
        markers.append(Marker(share * WIDTH, share * 100, group[-1].pk, summary))
    return tuple(markers)


def _round_up(value: int) -> int:
    """The next number that makes a readable top of the scale: 1, 2 or 5 times a power of ten."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if value <= factor * power:
                return max(factor * power, 4)
        power *= 10
