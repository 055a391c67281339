"""The climb that a run is part of: its generations and the total gain, as numbers and sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from autoresearch.core.text import plural
from autoresearch.core.values import FrozenModel
from autoresearch.report.format import NAME_CELLS, safe
from autoresearch.report.gain_text import format_gain
from autoresearch.report.history import History

MAX_NAMED = 10  # earlier runs in a line


class ClimbNumbers(FrozenModel):
    """``total_`` fields: this run's winner against the first baseline, trained in this run with the same seeds."""

    generation: int  # this run's place, from 1
    run_ids: list[str]  # of the earlier runs, the first one first
    baseline_iter: int  # of the last of them: the keep that is this run's baseline
    baseline_gain_frac: float  # of that keep over its own run's baseline
    baseline_low_frac: float | None
    baseline_high_frac: float | None
    winner_iter: int | None  # of this run; 0: its baseline, nothing better was kept; None: not measured yet
    total_gain_frac: float | None  # None: not measured
    total_low_frac: float | None  # 95% interval
    total_high_frac: float | None
    total_seeds: int
    total_failed: int  # trials that failed


def climb_numbers(history: History) -> ClimbNumbers | None:
    """The numbers of a run whose baseline is the winner of an earlier one."""
    climb, total = history.climb, history.total_gain
    if climb is None:
        return None
    return ClimbNumbers(
        generation=climb.generation,
        run_ids=list(climb.run_ids),
        baseline_iter=climb.iter,
        baseline_gain_frac=climb.gain_frac,
        baseline_low_frac=climb.low_frac,
        baseline_high_frac=climb.high_frac,
        winner_iter=total.iter if total else None,
        total_gain_frac=total.gain_frac if total else None,
        total_low_frac=total.low_frac if total else None,
        total_high_frac=total.high_frac if total else None,
        total_seeds=len(total.seeds) if total else 0,
        total_failed=total.failed if total else 0,
    )


def climb_lines(numbers: ClimbNumbers | None) -> Iterator[str]:
    """Where the baseline comes from, and the total gain."""
    if numbers is None:
        return
    names = [safe(name, NAME_CELLS) for name in numbers.run_ids]
    shown = " -> ".join(["...", *names[-MAX_NAMED:]] if len(names) > MAX_NAMED else names)
    gain = format_gain(numbers.baseline_gain_frac, numbers.baseline_low_frac, numbers.baseline_high_frac)
    yield (
        f"generation {numbers.generation}, after {shown}: the baseline is the winner of the last of them, "
        f"its iteration {numbers.baseline_iter}, {gain} there"
    )
    yield f"total gain over the first baseline: {describe_total(numbers)}"


def describe_total(numbers: ClimbNumbers) -> str:
    """The total gain with what was measured."""
    failed = f"; {plural(numbers.total_failed, 'trial')} failed" if numbers.total_failed else ""
    if numbers.total_gain_frac is None:
        return f"not measured yet; it is measured when every iteration is closed{failed}"
    gain = format_gain(numbers.total_gain_frac, numbers.total_low_frac, numbers.total_high_frac)
    of = f"iteration {numbers.winner_iter}" if numbers.winner_iter else "this run's baseline, nothing better was kept"
    seeds = plural(numbers.total_seeds, "fresh seed")
    return f"{gain}, measured in this run with {seeds} on both sides ({of}){failed}"
