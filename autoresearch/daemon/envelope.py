"""The sweep behind `autoresearch envelope`: how fast this device trains the profile's model, point by point.

A point is one batch_size, seq_len and precision; every other knob has the baseline's value. Each is measured in a
process of its own, so that running out of memory, a crash or a timeout is a point with its cause. Points are durable as
they come; a sweep that was killed goes on where it was. It holds the run directory's lock: a daemon that trains there
at the same time would spoil the measurements of both.
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
from autoresearch.daemon.backend import TrialBackend, limits_now, real_backend
from autoresearch.daemon.control import RunControl
from autoresearch.daemon.policy import Policy, build_policy
from autoresearch.daemon.service import MakeBackend
from autoresearch.errors import ConfigError
from autoresearch.machine import utc
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import ENVELOPE, PAUSE_FLAG, archive, hold
from autoresearch.storage.speed_log import decode_speeds, step_seconds
from autoresearch.trials.trainers import TRAINERS
from rails import ChoiceKnob, over_budget

OnPoint = Callable[[int, int, Point], None]  # which, of how many, and what became of it


@dataclass(frozen=True, slots=True)
class Axes:
    """What to sweep; an empty axis takes the menu's choices."""

    batch_sizes: tuple[int, ...] = ()
    seq_lens: tuple[int, ...] = ()
    precisions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a sweep found: the points asked for, in order, as far as it came."""

    path: Path
    conditions: dict[str, Any]
    baseline: Swept
    planned: int
    points: tuple[Point, ...]
    peaks: dict[str, float]  # FLOP/s by precision
    feeds_r7: bool  # whether R7 now prices time by measured points: every ratio needs the baseline's own
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
    """Measure every point that has not been under the same conditions. The first signal ends it, at once.

    Raises an ``AutoresearchError`` for everything that a person must decide or mend.
    """
    policy = build_policy(settings)
    cfgs = points_of(policy, axes)
    with hold(settings.run_dir) as run_dir:
        if fresh:
            old = [p for p in (run_dir / ENVELOPE, *run_dir.glob(f"{ENVELOPE}.torn-*")) if p.exists()]
            archive(run_dir, old, observer.notify, "the old envelope")
        with closing(Journal(run_dir / ENVELOPE)) as journal:
            records = decode_speeds(journal.path, journal)  # before anything slow: it may be damaged
            control = RunControl(run_dir / PAUSE_FLAG)

            def stopped() -> bool:
                return bool(control.stop_reason())

            backend = (make_backend or real_backend)(settings, policy, run_dir, stopped, observer)
            try:
                log = Log(journal, speed_conditions(backend.yardstick, policy.baseline), timing.steps)
                log.take_up(records)
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
        feeds_r7=bool(step_seconds(run_dir, backend.yardstick, policy.baseline, observer.notify)),
        ended=control.stop_reason(),
    )


def points_of(policy: Policy, axes: Axes) -> list[Cfg]:
    """The configurations to measure, those with the fewest tokens in a step first: what may not fit comes last.

    Raises ``ConfigError`` for a value that no trainer knows, or a knob of the menu that has no list of choices.
    """
    known = [p for trainer in TRAINERS.values() for p in trainer.precisions]
    if unknown := sorted(set(axes.precisions) - set(known)):
        raise ConfigError(f"--precision {unknown[0]} is none", hint=f"choose among {', '.join(dict.fromkeys(known))}")
    for flag, sizes in (("--batch-size", axes.batch_sizes), ("--seq-len", axes.seq_lens)):
        if small := [n for n in sizes if n < 1]:
            raise ConfigError(f"{flag} {small[0]} is no size", hint="give whole numbers from 1 up, as in 4,8,16")
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
    raise ConfigError(f"the menu lists no choices of {name}", hint=f"name them: --{flag} VALUE,VALUE")


@dataclass(slots=True)
class Log:
    """envelope.jsonl while a sweep goes on: what counts under its conditions, and the way to add to it."""

    journal: Journal
    conditions: dict[str, Any]
    steps: int
    conditions_sha256: str = field(init=False)
    points: dict[Swept, Point] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    without_peak: set[str] = field(default_factory=set)  # asked for in this sweep, in vain

    def __post_init__(self) -> None:
        self.conditions_sha256 = sha256_of(self.conditions)

    def take_up(self, records: Sequence[Record]) -> None:
        """What counts of earlier sweeps; conditions that are new are written down."""
        sha = self.conditions_sha256
        self.points = latest_points(records, sha, self.steps)
        self.peaks = latest_peaks(records, sha)
        if not any(isinstance(r, Conditions) and r.conditions_sha256 == sha for r in records):
            self.append(Conditions(ts=utc(), conditions_sha256=sha, conditions=self.conditions))

    def append(self, record: FrozenModel) -> None:
        """Durable on return. Raises ``JournalError``."""
        self.journal.append(record.model_dump_json())

    def add(self, point: Point) -> None:
        """Take in a point; the same refusal as last time is not written again."""
        last = self.points.get(point.swept)
        if not (last and point.refused and last.refused == point.refused):
            self.append(point)
        self.points[point.swept] = point


@dataclass(frozen=True, slots=True)
class Sweep:
    """A sweep under way: what measures, how long, where it is written, and who is told."""

    settings: Settings
    backend: TrialBackend
    timing: Timing
    log: Log
    observer: Observer
    control: RunControl
    on_point: OnPoint

    @property
    def timer(self) -> Timer:
        assert self.backend.timer is not None
        return self.backend.timer

    def refusal(self, cfg: Cfg) -> str:
        """Why R7 would refuse ``cfg`` here, whatever its time: memory, or what the trainer cannot do."""
        if self.backend.estimator is None:
            return ""
        limits = replace(limits_now(self.backend.free_accelerator_bytes, self.settings), max_time_ratio=math.inf)
        return over_budget(self.backend.estimator(cfg), limits) or ""


def measure_all(cfgs: Sequence[Cfg], lab: Sweep) -> None:
    """Every point that has no measurement yet, until a signal comes."""
    todo = [cfg for cfg in cfgs if not (p := lab.log.points.get(swept(cfg))) or not p.speed]
    if done := len(cfgs) - len(todo):
        lab.observer.notify(f"{done} of {len(cfgs)} points are measured already")
    try:
        for number, cfg in enumerate(todo, 1 + done):
            if lab.control.stop_reason():
                return
            point = measure(cfg, lab, f"{number:>3}/{len(cfgs)}")
            lab.log.add(point)
            lab.on_point(number, len(cfgs), point)
    except Interrupted:
        return  # what was under way is measured when the sweep goes on


def measure(cfg: Cfg, lab: Sweep, number: str) -> Point:
    """One point, whatever becomes of it. Raises ``Interrupted``."""
    batch_size, seq_len, precision = swept(cfg)

    def progressed(phase: str, fraction: float, _step: int, _speed: float | None) -> None:
        # Below 1, where the bar would be taken away: what ends a point is its line.
        lab.observer.preparing(f"{number}  {batch_size} x {seq_len} {precision}  {phase}", min(fraction, 0.999))

    refused = lab.refusal(cfg)
    peak = None if refused else _peak(cfg, lab)
    outcome = None if refused else lab.timer.speed(cfg, lab.timing, progressed)
    return Point(
        ts=utc(),
        conditions_sha256=lab.log.conditions_sha256,
        batch_size=batch_size,
        seq_len=seq_len,
        precision=precision,
        steps=lab.timing.steps,
        outcome=outcome,
        refused=refused,
        mfu=_mfu(outcome, peak, lab.settings) if isinstance(outcome, Speed) else None,
    )


def _peak(cfg: Cfg, lab: Sweep) -> float | None:
    """The matmul peak of the point's precision, measured once under these conditions; ``None`` where that failed."""
    precision, log = str(cfg["precision"]), lab.log
    if precision not in log.peaks and precision not in log.without_peak:
        lab.observer.preparing(f"matrix products in {precision}", 0.0)
        outcome = lab.timer.matmul_peak(cfg)
        log.append(Peak(ts=utc(), conditions_sha256=log.conditions_sha256, precision=precision, outcome=outcome))
        if isinstance(outcome, MatmulPeak):
            log.peaks[precision] = outcome.flops_per_s
        else:
            log.without_peak.add(precision)
            lab.observer.notify(f"no matmul peak in {precision}, so no MFU: {outcome.cause} ({outcome.detail})")
    return log.peaks.get(precision)


def _mfu(speed: Speed, peak: float | None, settings: Settings) -> float | None:
    """Model FLOPs utilisation (PaLM, Chowdhery et al. 2022, appendix B), against all ranks' measured peaks."""
    ranks = settings.parallel.data * settings.parallel.tensor
    return speed.flops_per_token * speed.real_tokens_per_s / (peak * ranks) if peak else None
