"""Keep or revert: the only place that turns measurements into a verdict. Pure.

Rule ``threshold`` is the origin's: one seed, and a keep wherever the gain reaches ``accept_delta_frac``. Rule
``sequential`` (docs/verdicts.md) adds seeds until ``verdicts.sequential`` says keep or revert.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import islice
from statistics import fmean
from typing import Literal

from autoresearch.core.measurement import Measurement
from autoresearch.core.records import DecisionRule, EarlierRun, Evaluated, Evidence, TrialEnded
from autoresearch.verdicts.noise import NO_NOISE, EarlierNoise, Noise, merge_runs, pooled_noise
from autoresearch.verdicts.rule import SequentialRule, alpha_spent
from autoresearch.verdicts.sequential import Judgement, judge
from autoresearch.verdicts.student_t import upper_tail

MAX_GAIN = 1.0  # relative to a baseline of 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a verdict on one candidate may rest on: all trials so far, and what earlier candidates say of the noise."""

    candidate: Sequence[TrialEnded]
    baseline: Sequence[TrialEnded]  # its failed trials too: their seeds are left out
    earlier_gains: Sequence[Sequence[float]] = ()  # paired gains of each earlier candidate with several seeds
    test: int = 1  # this candidate is the how manyth that is tried in this run directory
    earlier_runs: Sequence[EarlierRun] = ()  # what they say of the noise
    baseline_then: int | None = None  # how many of ``baseline`` were there at the proposal, in a parallel run
    best: Evaluated | None = None  # the best keep when the candidate was proposed


@dataclass(frozen=True, slots=True)
class Needed:
    """The trial that the rule needs next."""

    seed: int
    of_baseline: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on a candidate. ``improvement_frac`` is (baseline - candidate) / |baseline|: positive is better.

    Losses are means: ``val_bpb``, or the metric as a loss (``Measurement.loss``).
    """

    decision: Literal["keep", "revert"]
    loss: float
    baseline_loss: float
    improvement_frac: float
    reason: str
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Candidate and baseline, measured with one seed."""

    seed: int
    candidate_loss: float
    baseline_loss: float
    baseline_trial: int


def next_baseline_trial(compared: Comparison, rule: DecisionRule) -> Needed | None:
    """The next trial that the baseline needs before the first candidate, or ``None``; the baseline is the candidate."""
    measured = {t.seed for t in compared.candidate}
    seeds = range(rule.seed, rule.seed + rule.baseline_seeds)
    return next((Needed(seed, of_baseline=True) for seed in seeds if seed not in measured), None)


def next_trial(compared: Comparison, rule: DecisionRule) -> Needed | None:
    """The next trial that the rule needs, or ``None`` if it can judge."""
    if rule.kind == "threshold":
        return None if any(t.seed == rule.seed for t in compared.candidate) else Needed(rule.seed)
    if compared.candidate and judgement_of(compared, rule).decision:
        return None
    tried = {t.seed for t in compared.candidate}
    seed = next((s for s in usable_seeds(compared.baseline, rule) if s not in tried), None)
    if seed is None:
        return None
    return Needed(seed, of_baseline=not any(t.seed == seed for t in compared.baseline))


def usable_seeds(baseline: Sequence[TrialEnded], rule: DecisionRule) -> Iterator[int]:
    """The seeds that a candidate may be compared with, in order: not those with which the baseline failed."""
    most = rule.max_seeds or 1
    failed = {t.seed for t in baseline if not isinstance(t.outcome, Measurement)}
    return islice((s for s in range(rule.seed, rule.seed + 2 * most) if s not in failed), most)


def pairs_of(candidate: Sequence[TrialEnded], baseline: Sequence[TrialEnded]) -> list[Pair]:
    """Measured trials of both with the same seed, in the order of the seeds."""
    ours = {t.seed: t.outcome.loss for t in candidate if isinstance(t.outcome, Measurement)}
    theirs = {t.seed: (t.outcome.loss, t.trial) for t in baseline if isinstance(t.outcome, Measurement)}
    return [Pair(s, ours[s], *theirs[s]) for s in sorted(ours.keys() & theirs.keys())]


def paired_gains(pairs: Sequence[Pair]) -> tuple[float, ...]:
    """(baseline - candidate) of each seed, relative to the mean of the baseline over these seeds."""
    if not pairs:
        return ()
    reference = abs(fmean(p.baseline_loss for p in pairs))
    return tuple(_share(p.baseline_loss - p.candidate_loss, reference) for p in pairs)


def _share(difference: float, reference: float) -> float:
    """``difference`` relative to ``reference``; of a reference that is 0, which only a metric can be, unbounded."""
    if reference:
        return difference / reference
    return math.copysign(MAX_GAIN, difference) if difference else 0.0


def judgement_of(compared: Comparison, rule: DecisionRule) -> Judgement:
    """Apply the sequential rule to the paired gains so far."""
    pairs = pairs_of(compared.candidate, compared.baseline)
    gains = paired_gains(pairs)
    baseline = [t.outcome.loss for t in compared.baseline if isinstance(t.outcome, Measurement)]
    earlier = noise_of_earlier(compared.earlier_runs)
    noise = pooled_noise(baseline, [*compared.earlier_gains, gains], [p.candidate_loss for p in pairs], earlier)
    found = judge(gains, noise, sequential_rule(rule), compared.test)
    if found.decision is None and rule.confirm == "best" and is_below(compared.best, pairs, gains):
        return replace(found, decision="revert", label="below the best")
    return found


def is_below(best: Evaluated | None, pairs: Sequence[Pair], gains: Sequence[float]) -> bool:
    """Whether a keep gains at least as much as these pairs, on the seeds that both were measured with.

    To end a candidate for this costs no alpha: it only lowers the probability of a keep.
    """
    if best is None or best.evidence is None:
        return False
    bar = dict(zip(best.evidence.seeds, best.evidence.gains_frac, strict=True))
    common = [(gain, bar[p.seed]) for p, gain in zip(pairs, gains, strict=True) if p.seed in bar]
    return bool(common) and fmean(gain for gain, _ in common) <= fmean(theirs for _, theirs in common)


def noise_of_earlier(runs: Sequence[EarlierRun]) -> EarlierNoise:
    """The pooled noise of earlier runs."""
    return merge_runs(
        EarlierNoise(
            Noise(run.gains_sd_frac, run.gains_df, "gains") if run.gains_df else NO_NOISE,
            Noise(run.trials_sd_frac, run.trials_df, "trials") if run.trials_df else NO_NOISE,
        )
        for run in runs
    )


def sequential_rule(rule: DecisionRule) -> SequentialRule:
    """The statistics' own form of the rule. Raises ``ValueError`` for rule threshold."""
    constants = {field.name: getattr(rule, field.name) for field in fields(SequentialRule)}
    constants["own_seeds"] = rule.own_seeds or 0  # older than the constant
    if None in constants.values():
        raise ValueError(f"rule {rule.kind} has no sequential test: {constants}")
    return SequentialRule(**constants)


def decide(compared: Comparison, rule: DecisionRule) -> Decision:
    """Judge a candidate. Raises ``ValueError`` without trials."""
    if rule.kind == "threshold":
        return _decide_by_threshold(compared, rule)
    pairs = pairs_of(compared.candidate, compared.baseline)
    if not pairs:
        raise ValueError("a decision needs a seed with which candidate and baseline are measured")
    found = judgement_of(compared, rule)
    candidate, baseline = fmean(p.candidate_loss for p in pairs), fmean(p.baseline_loss for p in pairs)
    evidence = Evidence(
        label=found.label or "inconclusive",
        test=compared.test,
        seeds=tuple(p.seed for p in pairs),
        baseline_trials=tuple(p.baseline_trial for p in pairs),
        gains_frac=paired_gains(pairs),
        low_frac=_finite(found.low_frac),
        high_frac=_finite(found.high_frac),
        statistic=found.statistic,
        critical=_finite(found.critical),
        p=upper_tail(found.statistic, found.df) if found.df > 0 else None,
        sd_frac=found.sd_frac,
        df=found.df,
        alpha=found.alpha,
        alpha_spent=alpha_spent(rule.alpha or 0.0, compared.test),
    )
    gain = _share(baseline - candidate, abs(baseline))
    decision = found.decision or "revert"
    return Decision(decision, candidate, baseline, gain, _sentence(evidence, gain, rule, compared.best), evidence)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _sentence(evidence: Evidence, gain: float, rule: DecisionRule, best: Evaluated | None) -> str:
    """The verdict as one sentence."""
    n = len(evidence.seeds)
    start = f"{evidence.label}: gain {100 * gain:+.2f}% over {n} seed{'s' if n > 1 else ''}"
    needed = f"the {100 * rule.accept_delta_frac:g}% that a keep needs"
    if evidence.low_frac is not None and evidence.high_frac is not None:
        start += f" (interval {100 * evidence.low_frac:+.2f} to {100 * evidence.high_frac:+.2f}%)"
    match evidence.label:
        case "confirmed":
            share = f"a false keep of test {evidence.test} has a probability of at most {evidence.alpha:.2g}"
            return f"{start}, which reaches {needed}; {share}"
        case "screened out" | "no gain":
            return f"{start}, too far below {needed}"
        case "below the best" if best is not None:
            its_gain = f"{100 * best.improvement_frac:+.2f}% over all of its seeds"
            return f"{start}, not more than the keep of iteration {best.iter} with the same seeds ({its_gain})"
        case _:
            return f"{start}: {n} seeds are the most, and chance is not ruled out"


def _decide_by_threshold(compared: Comparison, rule: DecisionRule) -> Decision:
    """The mean of all the candidate's trials against the mean of all the baseline's."""
    mean, reference = mean_loss(compared.candidate), mean_loss(compared.baseline)
    gain = _share(reference - mean, abs(reference))
    keep = gain >= rule.accept_delta_frac
    relation = "reaches" if keep else "is below"
    reason = f"improvement {100 * gain:+.2f}% {relation} the {100 * rule.accept_delta_frac:g}% that a keep needs"
    return Decision("keep" if keep else "revert", mean, reference, gain, reason)


def mean_loss(trials: Sequence[TrialEnded]) -> float:
    """Return the mean loss of the measured trials. Raises ``ValueError`` if there are none."""
    measured = [t.outcome.loss for t in trials if isinstance(t.outcome, Measurement)]
    if not measured:
        raise ValueError("a decision needs at least one measured trial on either side")
    return fmean(measured)


def unusable_baseline(values: Sequence[float]) -> str:
    """Why gains cannot be relative to a baseline with these values, one per seed; empty if they can."""
    shown = ", ".join(f"{value:.6g}" for value in values)
    if not fmean(values):
        return f"the baseline's metric is 0 ({shown}), and gains are relative to it"
    if min(values) < 0 < max(values):
        return f"the baseline's metric lies on both sides of 0 ({shown}), and gains are relative to its mean"
    return ""
