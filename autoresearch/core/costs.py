"""What a trial of a candidate cost beside one of the baseline's: a gain may be no more than more training. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from autoresearch.core.measurement import Measurement

SAME_COMPUTE = 0.01  # relative difference in FLOPs that counts as none: under a budget in FLOPs, less than a step


@dataclass(frozen=True, slots=True)
class CostRatios:
    """The mean over a candidate's trials divided by the mean over the baseline's; ``None`` where one is unknown."""

    tokens: float | None = None
    flops: float | None = None
    seconds: float | None = None  # of training
    joules: float | None = None  # of whole trials


UNKNOWN_RATIOS = CostRatios()


def cost_ratios(candidate: Sequence[Measurement], baseline: Sequence[Measurement]) -> CostRatios:
    """Return the ratios of measured trials; all ``None`` if there are none on either side."""

    def ratio(value: Callable[[Measurement], float | None]) -> float | None:
        own, reference = _mean([value(m) for m in candidate]), _mean([value(m) for m in baseline])
        return own / reference if own is not None and reference else None

    return CostRatios(
        tokens=ratio(lambda m: m.train_tokens),
        flops=ratio(lambda m: m.train_flops),
        seconds=ratio(lambda m: m.train_wall_s),
        joules=ratio(lambda m: m.energy_j),
    )


def describe_compute(ratios: CostRatios) -> str:
    """``trained on 2.00 x the baseline's FLOPs``; empty where they are the same or unknown."""
    if ratios.flops is None or is_same_compute(ratios.flops):
        return ""
    return f"trained on {ratios.flops:.2f} x the baseline's FLOPs"


def is_same_compute(ratio: float) -> bool:
    """Whether a ratio of FLOPs counts as none."""
    return abs(ratio - 1) <= SAME_COMPUTE


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return fmean(known) if known and len(known) == len(values) else None
