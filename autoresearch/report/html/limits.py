"""What the numbers of a run do not show: only the limits that apply to this run. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from autoresearch.core.costs import is_same_compute
from autoresearch.core.text import plural
from autoresearch.report.format import describe_budget, describe_unseeded, safe
from autoresearch.report.history import History, Row
from autoresearch.report.summary import Summary, best_keep


def describe_limits(s: Summary, history: History) -> Iterator[tuple[str, str]]:
    """A short title and its explanation, for each limit."""
    if s.warnings:
        damage = safe("; ".join(s.warnings), 1000)
        yield "A damaged log", f"These figures count only the records that are whole. In the trajectory {damage}."
    if s.state not in ("complete", "stopped"):
        yield "The rest of the run", "The run has not ended, so every figure here can still change."
    if s.log_format == "origin":
        yield (
            "Another unit",
            "In a log of this format val_bpb is bits per token of one batch whose text changed with the knobs: it is "
            "not comparable with any other run, and only with care within this one.",
        )
    if note := describe_unseeded(s.yardstick):
        yield "No seed", note
    yield from _luck(s, history)
    yield from _early_stops(s)
    yield from _compute(s, history)
    if s.evaluated:
        yield (
            "Combined changes",
            "Every candidate differs from the baseline in one knob. The effect of two keeps together was not measured.",
        )
    yield from _overlap(s, history)
    yield from _transfer(s)
    if s.iterations:
        yield (
            "Untried values",
            "Values were not tried equally often. Where a knob was not tried, nothing is known; a trial "
            f"that failed or was blocked has no {safe(s.words.name, 60)} and is not part of any effect.",
        )
        yield (
            "Why it worked",
            "The proposer gave its reason before the trial. It explains the attempt, not the result.",
        )
    yield from _energy(s)


def _luck(s: Summary, history: History) -> Iterator[tuple[str, str]]:
    if s.verdicts:
        yield from _chance(s, best_keep(history.rows))
        return
    single = all(row.trials <= 1 for row in history.rows)
    if s.evaluated and single:
        yield (
            "Luck",
            f"Each configuration was measured with one seed. Of {plural(s.evaluated, 'noisy measurement')} the best "
            "looks better than it is; only more seeds can show how much of its gain is luck.",
        )
    elif s.evaluated:
        yield "Luck", "The best of many means still looks slightly better than it is, whatever the number of seeds."


def _chance(s: Summary, best: Row | None) -> Iterator[tuple[str, str]]:
    """What confirmation over several seeds does not show."""
    if best:
        yield (
            "Chance",
            "The error rate bounds the probability that a keep has no gain at all. It does not say that the gain is as "
            "large as measured: a keep was selected for a high mean, and the corrected gain is an estimate of what "
            "remains. The interval of a gain is as wide as its test demands, which allows for every test of the run.",
        )
    if s.evaluated > s.keeps:
        needed = f"the {100 * s.accept_delta_frac:g}%" if s.accept_delta_frac else "what"
        yield (
            "What was not confirmed",
            f"This does not show that a change has no effect: it may gain less than {needed} that a keep needs, or "
            "have been unlucky with its first seed. Its gain is of few seeds, often one.",
        )


def _early_stops(s: Summary) -> Iterator[tuple[str, str]]:
    """What early stopping may have cost, and by what that would be seen."""
    if s.early_stops is None or not s.early_stops.stopped:
        return
    audited, keeps = plural(s.early_stops.audited, "trial"), plural(s.early_stops.audited_keeps, "keep")
    found = (
        f"{audited} ran on for the audit and gave {keeps}" if s.early_stops.audited else "no trial ran on for the audit"
    )
    yield (
        "Stopped early",
        f"Of {plural(s.early_stops.stopped, 'candidate')} only the beginning of the loss curve is known. That none of "
        f"them would have become a keep is a forecast from earlier curves; {found}.",
    )


def _compute(s: Summary, history: History) -> Iterator[tuple[str, str]]:
    """Equal steps are not equal compute: yields if the best keep computed more or less than the baseline."""
    best = best_keep(history.rows)
    if best is None or (flops := best.ratios.flops) is None or is_same_compute(flops):
        return
    more, tokens = "more" if flops > 1 else "less", best.ratios.tokens
    yield (
        "Equal compute",
        f"The best candidate trained on {flops:.2f} x the baseline's FLOPs and {tokens:.2f} x its tokens. Part of the "
        f"difference is {more} training, not a better setting.",
    )


def _overlap(s: Summary, history: History) -> Iterator[tuple[str, str]]:
    """What val_bpb owes to memory: nothing is yielded if no validation text was found in train."""
    share = history.val_overlap
    if share:
        yield (
            "Validation text in train",
            f"{share:.1%} of the validation text occurs verbatim in the train text. A configuration that memorises "
            "more looks better by that, and would not on other text.",
        )
    elif share is None and s.log_format != "origin":
        yield (
            "Validation text in train",
            "Whether validation text occurs in the train text is not recorded: an earlier version prepared the corpus "
            "or began the run, or the corpus is too small.",
        )


def _transfer(s: Summary) -> Iterator[tuple[str, str]]:
    y = s.yardstick
    budget = f" A trial is {describe_budget(y)}:" if y else " Trials are short:"
    yield (
        "Other trainings",
        f"One corpus, one scored span of text, one machine.{budget} what wins early may not win in a long training, or "
        "with a larger model.",
    )


def _energy(s: Summary) -> Iterator[tuple[str, str]]:
    if s.marks:
        yield (
            "Disturbed trials",
            "Some trials were slowed down by heat, by other processes or for an unknown reason; their results may be "
            "worse than their configurations deserve.",
        )
    if s.energy:
        yield (
            "Energy",
            "A sensor measures its own scope only. Devices outside that scope, and time without readings, are not in "
            "the figures, and nothing is scaled up for them.",
        )
    elif s.energy_kwh is None:
        yield "Energy", "No trial was metered, so energy and cost are unknown."
    else:
        yield (
            "Energy",
            "Only the trials were metered. The energy of the rest of the machine, the proposer and idle time is not "
            "included.",
        )
