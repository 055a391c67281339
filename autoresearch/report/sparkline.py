"""val_bpb over the iterations in one line of glyphs. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import quantiles

BARS = "▁▂▃▄▅▆▇█"
FAILED = "\N{MULTIPLICATION SIGN}"
BLOCKED = "·"

Point = float | str  # a measurement, or FAILED or BLOCKED
FENCE = 3.0  # inter-quartile ranges above the upper quartile: what is higher is clipped (Tukey's far-out fence)


@dataclass(frozen=True, slots=True)
class Scale:
    """From the value at the lowest bar to the value at the highest, which also stands for everything above."""

    low: float
    high: float
    clipped: bool

    @classmethod
    def of(cls, values: Sequence[float]) -> Scale | None:
        """The scale of finite ``values``: down to their minimum, and up to the highest that is no far outlier.

        One bad configuration would otherwise press every difference that matters into one bar.
        """
        if not values:
            return None
        low, high = min(values), max(values)
        if len(values) >= 4:
            first, _, third = quantiles(values, n=4, method="inclusive")
            fence = third + FENCE * (third - first)
            high = max((v for v in values if v <= fence), default=high)
        return cls(low, high, high < max(values))

    def bar(self, value: float) -> str:
        """The glyph for ``value``; the lowest also for what lies below the scale."""
        if self.high <= self.low:
            return BARS[0] if value <= self.low else BARS[-1]
        step = len(BARS) * ((value - self.low) / (self.high - self.low))
        return BARS[max(0, min(len(BARS) - 1, math.floor(step)))]


def sparkline(points: Sequence[Point], width: int, scale: Scale | None) -> str:
    """One glyph per point, or at most ``width`` glyphs: then each stands for a stretch and shows its minimum.

    A stretch without a measurement shows that a trial failed in it, or else that all was blocked.
    """
    if width < 1:
        return ""
    return "".join(_glyph(stretch, scale) for stretch in _stretches(points, width))


def _stretches(points: Sequence[Point], width: int) -> Iterator[Sequence[Point]]:
    count = min(width, len(points))
    for i in range(count):
        yield points[i * len(points) // count : (i + 1) * len(points) // count]


def _glyph(stretch: Sequence[Point], scale: Scale | None) -> str:
    measured = [p for p in stretch if not isinstance(p, str)]
    if measured and scale:
        return scale.bar(min(measured))
    return FAILED if FAILED in stretch else BLOCKED
