"""The sweep of `autoresearch envelope`: how fast this device trains the profile's model, point by point.

A point is one batch_size, seq_len and precision; every other knob has the baseline's value. Each is measured in its
own process, so that running out of memory, a crash or a timeout is a point with its cause. Each point is durable once
measured; a sweep that was killed resumes after the last one. It holds the run directory's lock: a daemon that trains
there at the same time would disturb the measurements of both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Interrupted, Observer, Timer
from autoresearch.core.speeds import (
    Conditions,
    MatmulPeak,
    Peak,
    Point,
    Record,
    Speed,
    Swept,
    Timing,
    latest_peaks,
    latest_points,
    speed_conditions,
    swept,
)
from autoresearch.core.values import Cfg, FrozenModel, KnobValue, sha256_of
from autoresearch.daemon.backend import real_backend
from autoresearch.daemon.control import RunControl
from autoresearch.daemon.cost_check import limits_now
from autoresearch.daemon.policy import Policy, build_policy
from autoresearch.daemon.service import MakeBackend
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import ConfigError, CorpusError
from autoresearch.machine import utc
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import ENVELOPE, ENVELOPE_FILES, PAUSE_FLAG, archive, hold
from autoresearch.storage.speed_log import decode_speeds, step_seconds
from autoresearch.trials.trainers import TRAINERS
from rails import ChoiceKnob, over_budget

OnPoint = Callable[[int, int, Point], None]  # number, total, the point


@dataclass(frozen=True, slots=True)
class Axes:
    """Values to sweep; an empty axis takes the menu's choices."""

    batch_sizes: tuple[int, ...] = ()
    seq_lens: tuple[int, ...] = ()
    precisions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Envelope:
    """The result of a sweep: the requested points in order, as far as it came."""

    path: Path
    conditions: dict[str, Any]
    baseline: Swept
    planned: int
    points: tuple[Point, ...]
    peaks: dict[str, float]  # FLOP/s by precision
    prices_r7: bool  # whether R7 now estimates time from measured points, which needs the baseline's
    ended: str = ""  # the signal that ended it early


def sweep(
    settings: Settings,
    observer: Observer,
    axes: Axes = Axes(),
    timing: Timing = Timing(),
    *,
    fresh: bool = False,
    on_point: OnPoint = lambda *_: None,
    make_backend: MakeBackend | None = None,
) -> Envelope:
    """Measure every point that was not measured under the same conditions yet. The first signal ends it at once.

    Raises an ``AutoresearchError`` for everything that the user must decide or repair.
    """
    policy = build_policy(settings)
    cfgs = points_of(policy, axes)
    with hold(settings.run_dir) as run_dir:
        if fresh:
            old = [p for pattern in ENVELOPE_FILES for p in run_dir.glob(pattern)]
            archive(run_dir, old, observer.notify, "the old envelope")
        with closing(Journal(run_dir / ENVELOPE)) as journal:
            if removed := journal.describe_removed():
                observer.notify(removed)
            records = decode_speeds(journal.path, journal)  # before anything slow, because it may be damaged
            control = RunControl(run_dir / PAUSE_FLAG)

            def stopped() -> bool:
                return bool(control.stop_reason())

            backend = (make_backend or real_backend)(settings, policy, run_dir, stopped, observer)
            try:
                log = SpeedLog(journal, speed_conditions(backend.yardstick, policy.baseline), timing.steps)
                log.load(records)
                with control.listening():
                    measure_all(cfgs, Sweep(settings, backend, timing, log, observer, control, on_point))
            finally:
                backend.close()
    return Envelope(
        path=journal.path,
        conditions=log.conditions,
        baseline=swept(policy.baseline),
        planned=len(cfgs),
        points=tuple(log.points[swept(cfg)] for cfg in cfgs if swept(cfg) in log.points),
        peaks=log.peaks,
        prices_r7=bool(step_seconds(run_dir, backend.yardstick, policy.baseline, observer.notify)),
        ended=control.stop_reason(),
    )


def points_of(policy: Policy, axes: Axes) -> list[Cfg]:
    """The configurations to measure, by increasing tokens per step: those that may not fit into memory come last.

    Raises ``ConfigError`` for a value that no trainer supports, or a knob of the menu without a list of choices.
    """
    known = [p for trainer in TRAINERS.values() for p in trainer.precisions]
    if unknown := sorted(set(axes.precisions) - set(known)):
        raise ConfigError(
            f"--precision {unknown[0]} is not a precision of any trainer",
            hint=f"choose among {', '.join(dict.fromkeys(known))}",
        )
    for flag, sizes in (("--batch-size", axes.batch_sizes), ("--seq-len", axes.seq_lens)):
        if small := [n for n in sizes if n < 1]:
            raise ConfigError(
                f"{flag} {small[0]} is less than 1", hint="give whole numbers from 1 up, for example 4,8,16"
            )
    batch_sizes = dict.fromkeys(axes.batch_sizes) or _choices(policy, "batch_size")
    seq_lens = dict.fromkeys(axes.seq_lens) or _choices(policy, "seq_len")
    precisions = dict.fromkeys(axes.precisions) or _choices(policy, "precision")
    pairs = sorted(((int(b), int(s)) for b in batch_sizes for s in seq_lens), key=lambda pair: (math.prod(pair), pair))
    return [{**policy.baseline, "batch_size": b, "seq_len": s, "precision": p} for b, s in pairs for p in precisions]


def _choices(policy: Policy, name: str) -> Sequence[KnobValue]:
    knob = policy.menu.knobs.get(name)
    if isinstance(knob, ChoiceKnob):
        return knob.choices
    flag = name.replace("_", "-")
    raise ConfigError(f"the menu lists no choices of {name}", hint=f"name the values: --{flag} VALUE,VALUE")


@dataclass(slots=True)
class SpeedLog:
    """envelope.jsonl during a sweep: the points and peaks that count under its conditions."""

    journal: Journal
    conditions: dict[str, Any]
    steps: int
    conditions_sha256: str = field(init=False)
    points: dict[Swept, Point] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    peaks_failed: set[str] = field(default_factory=set)  # precisions whose peak could not be measured in this sweep

    def __post_init__(self) -> None:
        self.conditions_sha256 = sha256_of(self.conditions)

    def load(self, records: Sequence[Record]) -> None:
        """Load what counts of earlier sweeps; append the conditions where they are new."""
        sha = self.conditions_sha256
        self.points = latest_points(records, sha, self.steps)
        self.peaks = latest_peaks(records, sha)
        if not any(isinstance(r, Conditions) and r.conditions_sha256 == sha for r in records):
            self.append(Conditions(ts=utc(), conditions_sha256=sha, conditions=self.conditions))

    def append(self, record: FrozenModel) -> None:
        """Durable on return. Raises ``JournalError``."""
        self.journal.append(record.model_dump_json())

    def add(self, point: Point) -> None:
        """Append a point; a refusal equal to the last one of this point is not written again."""
        last = self.points.get(point.swept)
        if not (last and point.refused and last.refused == point.refused):
            self.append(point)
        self.points[point.swept] = point


@dataclass(frozen=True, slots=True)
class Sweep:
    """One sweep in progress: settings, backend, timing, log, and the callbacks for progress."""

    settings: Settings
    backend: TrialBackend
    timing: Timing
    log: SpeedLog
    observer: Observer
    control: RunControl
    on_point: OnPoint

    @property
    def timer(self) -> Timer:
        assert self.backend.timer is not None
        return self.backend.timer

    def refusal(self, cfg: Cfg) -> str:
        """Why R7 would refuse ``cfg`` on this device for memory or for an unsupported value; time does not count."""
        if self.backend.estimator is None:
            return ""
        limits = replace(limits_now(self.backend.free_accelerator_bytes, self.settings), max_time_ratio=math.inf)
        return over_budget(self.backend.estimator(cfg), limits) or ""


def measure_all(cfgs: Sequence[Cfg], sweep_run: Sweep) -> None:
    """Measure every point that has no speed yet, until a signal arrives."""
    todo = [cfg for cfg in cfgs if not (p := sweep_run.log.points.get(swept(cfg))) or not p.speed]
    if done := len(cfgs) - len(todo):
        sweep_run.observer.notify(f"{done} of {len(cfgs)} points are measured already")
    try:
        for number, cfg in enumerate(todo, 1 + done):
            if sweep_run.control.stop_reason():
                return
            point = measure(cfg, sweep_run, f"{number:>3}/{len(cfgs)}")
            if changed := sweep_run.backend.inputs.change():
                raise CorpusError(changed, hint="restore the file and start again: the sweep continues")
            sweep_run.log.add(point)
            sweep_run.on_point(number, len(cfgs), point)
    except Interrupted:
        return  # the interrupted point is measured when the sweep resumes


def measure(cfg: Cfg, sweep_run: Sweep, number: str) -> Point:
    """Measure one point; a failure is a point too. Raises ``Interrupted``."""
    batch_size, seq_len, precision = swept(cfg)

    def progressed(phase: str, fraction: float, _step: int, _speed: float | None) -> None:
        # At 1 the observer would remove the bar; it stays until the line of the point is printed.
        sweep_run.observer.preparing(f"{number}  {batch_size} x {seq_len} {precision}  {phase}", min(fraction, 0.999))

    refused = sweep_run.refusal(cfg)
    peak = None if refused else _peak(cfg, sweep_run)
    outcome = None if refused else sweep_run.timer.speed(cfg, sweep_run.timing, progressed)
    return Point(
        ts=utc(),
        conditions_sha256=sweep_run.log.conditions_sha256,
        batch_size=batch_size,
        seq_len=seq_len,
        precision=precision,
        steps=sweep_run.timing.steps,
        outcome=outcome,
        refused=refused,
        mfu=_mfu(outcome, peak, sweep_run.settings) if isinstance(outcome, Speed) else None,
    )


def _peak(cfg: Cfg, sweep_run: Sweep) -> float | None:
    """The matmul peak of the point's precision, measured once under these conditions; ``None`` where that failed."""
    precision, log = str(cfg["precision"]), sweep_run.log
    if precision not in log.peaks and precision not in log.peaks_failed:
        sweep_run.observer.preparing(f"matrix products in {precision}", 0.0)
        outcome = sweep_run.timer.matmul_peak(cfg)
        log.append(Peak(ts=utc(), conditions_sha256=log.conditions_sha256, precision=precision, outcome=outcome))
        if isinstance(outcome, MatmulPeak):
            log.peaks[precision] = outcome.flops_per_s
        else:
            log.peaks_failed.add(precision)
            sweep_run.observer.notify(f"no matmul peak in {precision}, so no MFU: {outcome.cause} ({outcome.detail})")
    return log.peaks.get(precision)


def _mfu(speed: Speed, peak: float | None, settings: Settings) -> float | None:
    """Model FLOPs utilisation (PaLM, Chowdhery et al. 2022, appendix B), against all ranks' measured peaks."""
    ranks = settings.parallel.data * settings.parallel.tensor
    return speed.flops_per_token * speed.real_tokens_per_s / (peak * ranks) if peak else None
