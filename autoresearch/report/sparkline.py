"""val_bpb over the iterations as one line of glyphs. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import quantiles

BARS = "▁▂▃▄▅▆▇█"
FAILED = "\N{MULTIPLICATION SIGN}"
BLOCKED = "·"
STOPPED = "-"  # early, before it was measured

Point = float | str  # a measurement, or FAILED, BLOCKED or STOPPED
FENCE = 3.0  # inter-quartile ranges above the upper quartile: higher values are clipped (Tukey's outer fence)


@dataclass(frozen=True, slots=True)
class Scale:
    """The values of the lowest and of the highest bar; the highest also represents all values above."""

    low: float
    high: float
    clipped: bool

    @classmethod
    def of(cls, values: Sequence[float]) -> Scale | None:
        """The scale of finite ``values``: from their minimum to the highest that is not a far outlier.

        Otherwise one bad configuration would compress all other differences into one bar.
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
        """The glyph for ``value``; the lowest also for values below the scale."""
        if self.high <= self.low:
            return BARS[0] if value <= self.low else BARS[-1]
        step = len(BARS) * ((value - self.low) / (self.high - self.low))
        return BARS[max(0, min(len(BARS) - 1, math.floor(step)))]


def sparkline(points: Sequence[Point], width: int, scale: Scale | None) -> str:
    """One glyph per point, at most ``width`` glyphs: with more points each glyph shows the minimum of several.

    A group of points without a measurement shows ``FAILED`` if one of them failed, or else ``BLOCKED``.
    """
    if width < 1:
        return ""
    return "".join(_glyph(group, scale) for group in _groups(points, width))


def _groups(points: Sequence[Point], width: int) -> Iterator[Sequence[Point]]:
    count = min(width, len(points))
    for i in range(count):
        yield points[i * len(points) // count : (i + 1) * len(points) // count]


def _glyph(group: Sequence[Point], scale: Scale | None) -> str:
    measured = [p for p in group if not isinstance(p, str)]
    if measured and scale:
        return scale.bar(min(measured))
    return FAILED if FAILED in group else BLOCKED
