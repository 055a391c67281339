"""Verdicts of rule ``sequential`` in words, the same in every place that shows them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from autoresearch.core.decision import noise_of_earlier, sequential_rule
from autoresearch.core.records import DecisionRule, EarlierRun, Evidence
from autoresearch.core.text import plural, signed_percent
from autoresearch.report.correlations import correlation_lines
from autoresearch.report.verdicts import VerdictNumbers, relative_sd_interval
from autoresearch.verdicts.noise import EarlierNoise, is_refuted, noise_of_run, pool, pooled_noise
from autoresearch.verdicts.resolution import resolvable_frac, resolving_sd_frac

NEAR = 1.5  # times the threshold: a resolvable gain below this is near enough to it


def format_interval(evidence: Evidence) -> str:
    """``+0.75 to +1.49%``; empty without a known noise."""
    return format_range(evidence.low_frac, evidence.high_frac)


def format_range(low_frac: float | None, high_frac: float | None) -> str:
    """``+0.75 to +1.49%``; empty without bounds."""
    if low_frac is None or high_frac is None:
        return ""
    return f"{100 * low_frac:+.2f} to {signed_percent(high_frac)}"


def format_seeds(evidence: Evidence) -> str:
    """``4 seeds``."""
    return plural(len(evidence.seeds), "seed")


def describe_gain(gain_frac: float | None, evidence: Evidence) -> str:
    """``gain +1.12% (interval +0.75 to +1.49%)``."""
    interval = f" (interval {format_interval(evidence)})" if format_interval(evidence) else ""
    return f"gain {signed_percent(gain_frac or 0.0)}{interval}"


def describe_verdict(gain_frac: float | None, evidence: Evidence) -> str:
    """``confirmed over 4 seeds, gain +1.12% (interval +0.75 to +1.49%)``."""
    return f"{evidence.label} over {format_seeds(evidence)}, {describe_gain(gain_frac, evidence)}"


def same_gain(corrected_frac: float, gain_frac: float | None) -> bool:
    """Whether both read the same: then the correction is not worth a number of its own."""
    return gain_frac is not None and signed_percent(corrected_frac) == signed_percent(gain_frac)


def describe_correction(corrected_frac: float | None, gain_frac: float | None, keeps: int) -> str:
    """The gain without the part that the selection is expected to add, as a sentence; empty if it is not known."""
    if corrected_frac is None:
        return ""
    several = f"; that it is the best of {keeps} keeps is not corrected for" if keeps > 1 else ""
    if same_gain(corrected_frac, gain_frac):
        return f"Corrected for having been selected, its gain is the same to 0.01%{several}."
    return f"Corrected for having been selected, its gain is about {signed_percent(corrected_frac)}{several}."


def describe_error_rate(numbers: VerdictNumbers) -> str:
    """What bounds the probability of a false keep, as a sentence; empty where the rule is not known."""
    if numbers.alpha is None:
        return ""
    return f"The probability of any false keep in this run directory is at most {100 * numbers.alpha:g}% by its rule."


def verdict_counts(numbers: VerdictNumbers) -> Iterator[str]:
    """``2 confirmed``, ``7 screened out``: every label that occurred, and confirmed always."""
    for label, count in numbers.labels.items():
        if count or label == "confirmed":
            yield f"{count:,} {label}"


def verdict_facts(numbers: VerdictNumbers) -> Iterator[tuple[str, str]]:
    """Label and text of the noise and of the error rate."""
    if numbers.baseline_sd_frac is not None:
        over = _sd_over(numbers.baseline_seeds, numbers.baseline_sd_interval)
        yield "noise", f"one trial of the baseline varies by {100 * numbers.baseline_sd_frac:.2f}% ({over})"
        yield from (("", text) for text in (*_earlier_lines(numbers), *correlation_lines(numbers.correlations)))
    if numbers.alpha is not None:
        tests = f"{plural(numbers.tests, 'test')} spent {numbers.alpha_spent:.2g} of it"
        yield "error rate", f"any false keep: at most {100 * numbers.alpha:g}% (alpha {numbers.alpha:g}); {tests}"


def _earlier_lines(numbers: VerdictNumbers) -> Iterator[str]:
    """What earlier runs add to the noise; empty without any."""
    if numbers.earlier_runs and numbers.earlier_used:
        yield f"{_earlier(numbers.earlier_runs)}: {numbers.earlier_df:g} degrees of freedom of the noise of a gain"
    elif numbers.earlier_runs:
        yield f"that of {_earlier(numbers.earlier_runs)} is smaller, by an F test at 1%, and not used"


def _sd_over(seeds: int, interval: tuple[float, float] | None) -> str:
    known = f", 95% interval {100 * interval[0]:.2f} to {100 * interval[1]:.2f}%" if interval else ""
    return f"SD over {plural(seeds, 'seed')}{known}"


def describe_noise(baseline: Sequence[float], rule: DecisionRule, earlier_runs: Sequence[EarlierRun] = ()) -> str:
    """What the noise of one trial means for the threshold: one sentence. ``baseline`` has a val_bpb per seed."""
    earlier = noise_of_earlier(earlier_runs)
    noise, test = pooled_noise(baseline, (), earlier=earlier), sequential_rule(rule)
    gain = resolvable_frac(noise, test)
    if gain is None:
        return "the noise of one trial is not known yet: the baseline is measured with one seed"
    known = _describe_trial_noise(baseline, earlier, len(earlier_runs))
    within = f"within {rule.max_seeds} seeds in nine of ten cases"
    found = (
        f"{known}: a true gain of {100 * gain:.2g}% is confirmed {within}, a smaller one where equal seeds share noise"
    )
    near = NEAR * rule.accept_delta_frac
    if gain <= near:
        return f"{found}; that is near the threshold of {100 * rule.accept_delta_frac:g}%"
    share = resolving_sd_frac(near, noise, test) / noise.sd_frac
    budget = f"{share**-2:.2g} times the budget, if noise falls with its square root"
    return f"{found}; {100 * near:.2g}% would take {share:.2g} times that noise: {budget}"


def _describe_trial_noise(baseline: Sequence[float], earlier: EarlierNoise, runs: int) -> str:
    """``one trial's noise is about 0.44% (SD; 2 degrees of freedom from this run, 18 from 2 earlier runs)``."""
    own = noise_of_run(baseline, ())
    used = not is_refuted(earlier, own)
    sd = (pool(own.trials, earlier.trials) if used else own.trials).sd_frac / math.sqrt(2)  # of one trial, not of two
    if not earlier.df:
        over = _sd_over(len(baseline), relative_sd_interval(baseline))
    elif used:
        over = f"SD; {own.trials.df:g} degrees of freedom from this run, {earlier.trials.df:g} from {_earlier(runs)}"
    else:
        own_seeds = _sd_over(len(baseline), relative_sd_interval(baseline))
        over = f"{own_seeds}; that of {_earlier(runs)} is smaller, and not used"
    return f"one trial's noise is about {100 * sd:.2f}% ({over})"


def _earlier(runs: int) -> str:
    return plural(runs, "earlier run")
