"""The figures of a run of suite P: regret after so many trials, its paired intervals, luck, and cost. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import fsum
from statistics import fmean, stdev
from typing import Any

from autoresearch.benches.ports import BenchRun
from autoresearch.benches.proposers.checkpoints import TRIALS, Checkpoint, Step, changes_of
from autoresearch.benches.proposers.counts import Counts, source_share
from autoresearch.benches.proposers.table import MeasuredTable
from autoresearch.benches.statistics.best_of import expected_best_of
from autoresearch.benches.statistics.bootstrap import bootstrap_interval
from autoresearch.benches.statistics.sign_flip import sign_flip_test
from autoresearch.core.values import sha256_of

RIVALS = ("tpe", "random")  # each proposer is compared with these, seed by seed
CLOCK_TRIALS = 30  # equal time: that of tpe's first so many trials


@dataclass(frozen=True, slots=True)
class GradedNight:
    """What the grade of one night holds."""

    checkpoints: Mapping[int, Checkpoint]
    path: tuple[Step, ...]
    counts: Counts
    energy_j: float | None
    is_early: bool  # ended before its trials were spent

    def true_at(self, seconds: float) -> float | None:
        """The truth of what it would hand over at this virtual time; ``None`` before the first step."""
        return next((step.true for step in reversed(self.path) if step.virtual_s <= seconds), None)


Nights = Mapping[str, Mapping[int, GradedNight]]  # by proposer and sample


def read_nights(run: BenchRun) -> dict[str, dict[int, GradedNight]]:
    """The graded nights of a run by proposer and sample."""
    nights: dict[str, dict[int, GradedNight]] = {case.id: {} for case in run.cases.cases}
    for (case, sample), graded in run.trials.items():
        grade = graded.grades.get("proposers")
        if grade is None or grade.score is None:
            continue
        checkpoints = [Checkpoint.model_validate(c) for c in grade.detail["checkpoints"]]
        nights[case][sample] = GradedNight(
            {c.trials: c for c in checkpoints},
            tuple(Step.model_validate(s) for s in grade.detail["path"]),
            Counts.model_validate(grade.detail["counts"]),
            graded.trial.energy_j,
            graded.trial.status != "finished",
        )
    return nights


def analyze_nights(run: BenchRun, surface: MeasuredTable) -> dict[str, Any]:
    """The figures; docs/benches.md says what each is. A lower regret is better, a gain above 0 is better."""
    nights = read_nights(run)
    trials = checkpoint_trials(run)
    return {
        "table": table_facts(run, surface),
        "trials": trials,
        "decision": run.meta.options.get("decision"),
        "seeds": run.meta.samples,
        "random_exact": exact_random(surface, trials),
        "proposers": [_proposer(run, case.id, nights, surface, trials) for case in run.cases.cases],
    }


def checkpoint_trials(run: BenchRun) -> list[int]:
    """After how many trials nights are looked at."""
    budget = int(run.meta.options.get("trials", TRIALS[-1]))
    return [*(n for n in TRIALS if n < budget), budget]


def table_facts(run: BenchRun, surface: MeasuredTable) -> dict[str, Any]:
    """What the nights were run on."""
    plain = run.cases.cases[0].payload["table"]
    cells = surface.cells.values()
    knots = [(a, b) for line in surface.lines.values() for a, b in pairwise(line)]
    return {
        "sha256": sha256_of(plain),
        "profile": plain["profile"],
        "yardstick_sha256": plain["yardstick_sha256"],
        "menu_sha256": plain["menu_sha256"],
        "configurations": len(cells),
        "rows": len(plain["rows"]),
        "failing": sum(bool(c.failures) for c in cells),
        "intervals": len(knots),
        "interpolated": sum(not surface.why_not_between(a, b) for a, b in knots),
        "noise_sd_frac": surface.noise.sd_frac,
        "baseline_mean": surface.baseline_mean,
        "optimum_mean": surface.optimum_mean,
        "optimum": changes_of(surface.optimum.cfg, surface.baseline),
    }


def exact_random(surface: MeasuredTable, trials: Sequence[int]) -> dict[str, float | None]:
    """By n, the expected regret of the best of n of the table's measured changes, drawn without replacement, if a
    trial had no noise; ``None`` for more draws than there are changes. A failing change counts as the baseline.
    """
    changes = [c for c in surface.cells.values() if c.cfg != surface.baseline]
    means = [surface.baseline_mean if c.failures or c.mean is None else c.mean for c in changes]
    best = min(surface.optimum_mean, surface.baseline_mean)
    return {str(n): expected_best_of(means, n) - best if n <= len(means) else None for n in trials}


def _proposer(
    run: BenchRun, name: str, nights: Nights, surface: MeasuredTable, trials: Sequence[int]
) -> dict[str, Any]:
    own = nights[name]
    counts = sum((n.counts for n in own.values()), Counts())
    energy = [n.energy_j for n in own.values()]
    joules = fsum(e for e in energy if e is not None) if energy and None not in energy else None
    proposals = counts.proposals
    return {
        "proposer": name,
        "model": run.meta.model if counts.calls or _asks_model(run, name) else None,
        "seeds": len(own),
        "missing": run.meta.samples - len(own),
        "ended_early": sum(n.is_early for n in own.values()),
        "checkpoints": [_at(n, name, nights, surface, run.meta.samples) for n in trials],
        "at_clock": _at_clock(name, nights, surface),
        "counts": counts.model_dump(mode="json"),
        "model_share": source_share(counts),
        "s_per_proposal": counts.propose_s / proposals if proposals else None,
        "j_per_proposal": joules / proposals if joules is not None and proposals else None,
        "tokens_per_proposal": (counts.tokens_out or 0) / proposals if counts.calls and proposals else None,
    }


def _asks_model(run: BenchRun, name: str) -> bool:
    return any(case.id == name and case.family == "model" for case in run.cases.cases)


def _at(trials: int, name: str, nights: Nights, surface: MeasuredTable, planned: int) -> dict[str, Any]:
    """One proposer after so many trials."""
    states = {
        sample: night.checkpoints[trials] for sample, night in nights[name].items() if trials in night.checkpoints
    }
    regret = {sample: c.true - surface.optimum_mean for sample, c in states.items()}
    values = list(regret.values())
    return {
        "trials": trials,
        "regret": summary(values, planned, worst_regret(surface)),
        "regret_by_seed": {str(sample): value for sample, value in sorted(regret.items())},
        "true": _mean([c.true for c in states.values()]),
        "noisy": _mean([c.noisy for c in states.values()]),
        "curse": summary([c.true - c.noisy for c in states.values()], planned, None),
        "kept_regret": summary([c.kept_true - surface.optimum_mean for c in states.values()], planned, None),
        "keeps": _mean([c.keeps for c in states.values()]),
        "reached": _mean([c.reached for c in states.values()]),
        "virtual_s": _mean([c.virtual_s for c in states.values()]),
        "propose_s": _mean([c.propose_s for c in states.values()]),
        "against": {
            rival: paired(regret, _regrets(trials, nights[rival], surface))
            for rival in RIVALS
            if rival in nights and rival != name
        },
    }


def _regrets(trials: int, nights: Mapping[int, GradedNight], surface: MeasuredTable) -> dict[int, float]:
    return {s: n.checkpoints[trials].true - surface.optimum_mean for s, n in nights.items() if trials in n.checkpoints}


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> dict[str, Any]:
    """Their regret minus ours over the seeds that both have: above 0, ours is better."""
    seeds = sorted(ours.keys() & theirs.keys())
    gains = [theirs[s] - ours[s] for s in seeds]
    interval = bootstrap_interval(gains)
    return {
        "seeds": len(seeds),
        "gain": _mean(gains),
        "low": interval[0] if interval else None,
        "high": interval[1] if interval else None,
        "p": sign_flip_test(gains) if gains else None,
        "better": sum(g > 0 for g in gains),
        "worse": sum(g < 0 for g in gains),
    }


def summary(values: Sequence[float], planned: int, worst: float | None) -> dict[str, float | None]:
    """Mean, standard error, 95% interval; with missing nights no mean, and bounds with them as 0 and as ``worst``."""
    missing = planned - len(values)
    interval = bootstrap_interval(values) if not missing else None
    complete = bool(values) and not missing
    return {
        "mean": fmean(values) if complete else None,
        "se": stdev(values) / len(values) ** 0.5 if complete and len(values) > 1 else None,
        "low": interval[0] if interval else None,
        "high": interval[1] if interval else None,
        "at_least": fsum(values) / planned if missing else None,
        "at_most": (fsum(values) + missing * worst) / planned if missing and worst is not None else None,
    }


def worst_regret(surface: MeasuredTable) -> float:
    """The regret of the worst configuration of the table."""
    return max(c.mean for c in surface.cells.values() if c.mean is not None) - surface.optimum_mean


def clock_regrets(name: str, nights: Nights, surface: MeasuredTable) -> dict[int, float]:
    """By seed, the regret at the virtual time at which tpe, with the same seed, has made ``CLOCK_TRIALS`` trials."""
    found: dict[int, float] = {}
    for sample, reference in nights.get("tpe", {}).items():
        checkpoint = reference.checkpoints.get(CLOCK_TRIALS) or max(
            reference.checkpoints.values(), key=lambda c: c.trials
        )
        night = nights[name].get(sample)
        true = night.true_at(checkpoint.virtual_s) if night else None
        if true is not None:
            found[sample] = true - surface.optimum_mean
    return found


def _at_clock(name: str, nights: Nights, surface: MeasuredTable) -> dict[str, Any] | None:
    regrets = clock_regrets(name, nights, surface)
    if not regrets:
        return None
    return {
        "regret": fmean(regrets.values()),
        "regret_by_seed": {str(s): v for s, v in sorted(regrets.items())},
        "against": {
            rival: paired(regrets, clock_regrets(rival, nights, surface))
            for rival in RIVALS
            if rival in nights and rival != name
        },
    }


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
