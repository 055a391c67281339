"""Train a run's winner and its baseline at N times the budget, paired by seed: does the gain hold?

Each trial is durable in promotion-trials.jsonl of the run directory once it is measured; the same call continues after
a kill. The verdict is written to promotion.json, which the report shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from autoresearch.config.settings import Settings
from autoresearch.core.decision import Pair, paired_gains
from autoresearch.core.measurement import Failure
from autoresearch.core.ports import Observer
from autoresearch.core.records import Evaluated, Meta, Yardstick
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import sha256_of
from autoresearch.daemon.control import RunControl
from autoresearch.daemon.fresh_trials import FreshTrial, FreshTrials, Limit, Wanted
from autoresearch.daemon.policy import refuse_differences
from autoresearch.daemon.service import MakeBackend
from autoresearch.errors import BaselineFailed, ConfigError, JournalError
from autoresearch.report.promotion import Certificate
from autoresearch.storage.files import atomic_write
from autoresearch.storage.run_dir import PROMOTION, PROMOTION_TRIALS
from autoresearch.verdicts.promotion import ShortGain, judge_promotion

SEED_OFFSET = 4000  # above the seeds of the run, of null trials, of a recheck, of climbs and races
SEEDS = 4
OTHER_YARDSTICK = "the promotion would measure with another yardstick than the run"


@dataclass(slots=True)
class Promotion:
    """What was measured so far. ``complete``: every seed of both sides is measured or failed."""

    pairs: list[Pair] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    complete: bool = False


def settings_at(settings: Settings, meta: Meta, times: int) -> Settings:
    """The settings of the run at ``times`` its budget. Raises ``ConfigError`` for a script that keeps its own."""
    yardstick = meta.yardstick
    if yardstick.command and yardstick.command.owns_budget:
        hint = "let the command take its budget from the run: docs/any-trainer.md"
        raise ConfigError("the run's command keeps its own budget, which cannot be made longer from outside", hint=hint)
    flops = yardstick.budget_flops
    budget = {
        "kind": yardstick.budget_kind,
        "size": times * yardstick.budget_size,
        "flops": None if flops is None else times * flops,
    }
    limits = {"deadline_s": times * settings.limits.deadline_s}
    return settings.model_copy(
        update={
            "baseline": dict(meta.baseline_cfg),
            "budget": settings.budget.model_copy(update=budget),
            "limits": settings.limits.model_copy(update=limits),
            "threads": yardstick.threads,
            "compile": "on" if yardstick.compiled else "off",
            "decision": settings.decision.model_copy(update={"vault": "off"}),
        }
    )


def longer(yardstick: Yardstick, times: int) -> Yardstick:
    """The yardstick with ``times`` the budget."""
    flops = None if yardstick.budget_flops is None else times * yardstick.budget_flops
    return yardstick.model_copy(update={"budget_size": times * yardstick.budget_size, "budget_flops": flops})


def promote(
    settings: Settings,
    run: Trajectory,
    times: int,
    seeds: int,
    observer: Observer,
    *,
    make_backend: MakeBackend | None = None,
    control: RunControl | None = None,
    limit: Limit | None = None,
) -> tuple[Certificate, bool]:
    """Measure ``seeds`` seeds of both sides in the run directory of the settings, those of earlier calls included.

    Returns the certificate and whether it is complete; only a complete one is written. The first signal ends it, and
    what else ``control`` and ``limit`` obey.
    Raises ``ConfigError`` for a run that kept nothing, ``YardstickMismatch`` where the settings do not measure as the
    run did, ``BaselineFailed`` if the baseline fails, ``JournalError`` if the certificate cannot be written.
    """
    meta, winner = run.meta, run.winner
    if meta is None or winner is None:
        raise ConfigError("the run kept nothing, so there is no winner to promote", hint="continue it, or name another")
    result = Promotion()
    longer_settings = settings_at(settings, meta, times)
    with FreshTrials(longer_settings, PROMOTION_TRIALS, observer, make_backend, control=control, limit=limit) as trials:
        hint = "give the settings of the run, for example --corpus and --set eval.bytes=VALUE"
        wanted = longer(meta.yardstick, times).model_dump(mode="json")
        here = trials.backend.yardstick.model_dump(mode="json")
        refuse_differences(wanted, here, what=OTHER_YARDSTICK, hint=hint)
        _measure(trials, meta, winner, _fresh_seeds(meta, seeds), result, observer)
    certificate = build_certificate(meta, winner, times, result)
    if result.complete:
        _write(settings, certificate)
    return certificate, result.complete


def _fresh_seeds(meta: Meta, count: int) -> range:
    """Seeds that no verdict of the run has seen."""
    first = (meta.decision_rule.seed if meta.decision_rule else 0) + SEED_OFFSET
    return range(first, first + count)


def _measure(
    trials: FreshTrials, meta: Meta, winner: Evaluated, seeds: range, result: Promotion, observer: Observer
) -> None:
    """Seed by seed the baseline and then the winner, so that what there is is paired."""
    for n, seed in enumerate(seeds):
        sides: list[FreshTrial | Failure] = []
        for k, cfg in enumerate((meta.baseline_cfg, winner.candidate_cfg)):
            wanted = Wanted(cfg, seed)
            outcome = trials.known(wanted) or trials.measure(wanted)
            if outcome is None:
                return
            name = winner.proposal.text if k else "baseline"
            shown = f"failed: {outcome.detail}" if isinstance(outcome, Failure) else outcome.describe()
            observer.notify(f"trial {2 * n + k + 1}/{2 * len(seeds)}: {name}, seed {seed}, {shown}")
            if isinstance(outcome, Failure) and not k:
                raise BaselineFailed(f"seed {seed}: {outcome.detail}", hint="autoresearch doctor")
            sides.append(outcome)
        baseline, candidate = sides
        if isinstance(candidate, Failure):
            result.failures.append(f"seed {seed}: {candidate.detail}")
        elif isinstance(baseline, FreshTrial):
            result.pairs.append(Pair(seed, candidate.loss, baseline.loss, 0))
    result.complete = True


def build_certificate(meta: Meta, winner: Evaluated, times: int, result: Promotion) -> Certificate:
    """The verdict on what was measured, as a value."""
    gains, evidence = paired_gains(result.pairs), winner.evidence
    verdict = judge_promotion(short_gain(winner), gains)
    return Certificate(
        run_id=meta.run_id,
        iter=winner.iter,
        times=times,
        yardstick_sha256=sha256_of(longer(meta.yardstick, times)),
        label=verdict.label,
        text=verdict.text,
        share=verdict.share,
        gain_frac=verdict.gain_frac,
        low_frac=verdict.low_frac,
        high_frac=verdict.high_frac,
        seeds=tuple(p.seed for p in result.pairs),
        gains_frac=gains,
        failures=tuple(result.failures),
        short_gain_frac=winner.improvement_frac,
        short_low_frac=evidence.low_frac if evidence else None,
        short_high_frac=evidence.high_frac if evidence else None,
    )


def short_gain(winner: Evaluated) -> ShortGain:
    """The gain with which the winner was confirmed, with its standard error where the run knows its noise."""
    evidence = winner.evidence
    if evidence is None or evidence.df <= 0:
        return ShortGain(winner.improvement_frac)
    return ShortGain(winner.improvement_frac, evidence.sd_frac / math.sqrt(len(evidence.seeds)), evidence.df)


def _write(settings: Settings, certificate: Certificate) -> None:
    path = settings.run_dir / PROMOTION
    try:
        atomic_write(path, certificate.model_dump_json(indent=2).encode() + b"\n")
    except OSError as e:
        hint = "the same command writes it and measures nothing again"
        raise JournalError(f"cannot write {path}: {e.strerror}", hint=hint) from e
