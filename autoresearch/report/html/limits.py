"""What the numbers of a run do not show, said as far as it is true of this run. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from autoresearch.core.text import plural
from autoresearch.report.history import History
from autoresearch.report.summary import Summary, best_keep

SAME_COMPUTE = 0.01  # relative difference in tokens that is none


def limits(s: Summary, history: History) -> Iterator[tuple[str, str]]:
    """A few words, and the sentence that they stand for."""
    if s.state not in ("complete", "stopped"):
        yield "The rest of the run", "It has not come to its end, so every figure here can still change."
    if s.log_format == "origin":
        yield (
            "Another unit",
            "In a log of this format val_bpb is bits per token of one batch whose text changed with the knobs: "
            "comparable with no other run, and not safely within this one.",
        )
    yield from _luck(s, history)
    yield from _compute(s, history)
    yield (
        "Changes together",
        "Every candidate differs from the baseline in one knob. What two keeps do together was not measured.",
    )
    yield from _elsewhere(s)
    yield (
        "What was not tried",
        "Values were not tried equally often. An empty stretch of a knob says nothing about that stretch, and a trial "
        "that failed or was blocked has no val_bpb and is part of no effect.",
    )
    yield (
        "Why it worked",
        "A reason is what the proposer said before the trial. It explains the attempt, not the result.",
    )
    yield from _energy(s)


def _luck(s: Summary, history: History) -> Iterator[tuple[str, str]]:
    single = all(row.trials <= 1 for row in history.rows)
    if s.evaluated and single:
        yield (
            "Luck",
            f"Each configuration was measured with one seed. Of {plural(s.evaluated, 'noisy measurement')} the best "
            "looks better than it is; how much of its gain is luck, other seeds would have to tell.",
        )
    elif s.evaluated:
        yield "Luck", "The best of many means still looks a little better than it is, however many seeds each has."


def _compute(s: Summary, history: History) -> Iterator[tuple[str, str]]:
    """Equal steps are not equal work: said where the best keep saw more or less text than the baseline."""
    best = best_keep(history.rows)
    if best is None or history.baseline is None or not best.tokens or not history.baseline.tokens:
        return
    a, b = best.tokens / max(1, best.trials), history.baseline.tokens / max(1, history.baseline.trials)
    if abs(a / b - 1) > SAME_COMPUTE:
        more = "more" if a > b else "less"
        yield (
            "Equal effort",
            f"The best candidate trained on {a / b:.3g} times the baseline's tokens ({a:,.0f} against {b:,.0f}). Part "
            f"of the difference is {more} training, not a better setting.",
        )


def _elsewhere(s: Summary) -> Iterator[tuple[str, str]]:
    y = s.yardstick
    budget = f" A trial is {y.budget_size:g} {y.budget_kind}:" if y else " Trials are short:"
    yield (
        "Other trainings",
        f"One corpus, one scored span of text, one machine.{budget} what wins early need not win a long training, or "
        "with a larger model.",
    )


def _energy(s: Summary) -> Iterator[tuple[str, str]]:
    if s.marks:
        yield (
            "Undisturbed trials",
            "Some trials were held back by heat, by other processes or by something unknown; what they measured may be "
            "worse than their configuration.",
        )
    if s.energy:
        yield (
            "Energy",
            "A sensor sees its own scope only. What stands outside of it, and the time in which it was silent, is in "
            "no figure here, and nothing is scaled up for it.",
        )
    elif s.energy_kwh is None:
        yield "Energy", "No trial was metered, so nothing is said about energy or its cost."
    else:
        yield (
            "Energy",
            "The meter counts the trials alone. What the rest of the machine, the proposer and idle time took is not "
            "in it.",
        )
