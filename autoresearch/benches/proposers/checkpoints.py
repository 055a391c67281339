"""What a night would hand over after so many trials: the configuration with the lowest noisy value. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from autoresearch.core.measurement import Measurement
from autoresearch.core.records import (
    Baseline,
    Blocked,
    EvalFailed,
    Evaluated,
    Event,
    Meta,
    Proposed,
    ProposerFailed,
    StoppedEarly,
    TrialEnded,
    TrialStarted,
)
from autoresearch.core.trajectory import is_better
from autoresearch.core.values import Cfg, FrozenModel, KnobValue, sha256_of
from rails import same_value

TRIALS = (10, 30, 60, 100)  # after which a night is looked at


class Checkpoint(FrozenModel):
    """A night after ``trials`` trials, those with which the baseline is measured first not counted.

    ``reached``: the trials that it really spent by then, fewer where it ended before. ``chosen``: the knobs in which
    the configuration that it would hand over differs from the baseline: of those without a failed trial, the baseline
    included, the one with the lowest mean over its trials; of equal ones the first. ``noisy`` is that mean over
    ``seeds``, ``true`` its truth. ``kept``: the same of the best keep of the rule, or of the baseline.
    ``virtual_s``: seconds of trials and of proposing since the baseline was measured.
    """

    trials: int
    reached: int
    virtual_s: float
    propose_s: float
    chosen: dict[str, KnobValue]
    noisy: float
    seeds: int
    true: float
    kept: dict[str, KnobValue]
    kept_true: float
    keeps: int


class Step(FrozenModel):
    """From ``trials`` and ``virtual_s`` on, a night would hand over a configuration with this truth."""

    trials: int
    virtual_s: float
    true: float


@dataclass(slots=True)
class NightFold:
    """A fold of a trajectory. ``true_mean`` is that of the surface, for configurations with a value."""

    true_mean: Callable[[Cfg], float]
    baseline: Cfg = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)  # by configuration, in the order of the first trial
    cfgs: dict[str, Cfg] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    best_keep: Evaluated | None = None
    keeps: int = 0
    spent: int = 0
    trial_s: float = 0.0
    propose_s: float = 0.0
    running: TrialStarted | None = None
    has_baseline: bool = False

    def add(self, record: Event) -> None:
        """Add one record."""
        match record:
            case Meta():
                self.baseline = record.baseline_cfg
            case TrialStarted():
                self.running = record
            case TrialEnded() if self.running is not None and not record.void:
                self._add_trial(self.running.cfg, record)
            case Baseline():
                self.has_baseline = True
            case Proposed() | Blocked() | ProposerFailed():
                self.propose_s += record.propose_wall_s
            case Evaluated() if record.decision == "keep":
                self.keeps += 1
                if self.best_keep is None or is_better(record, self.best_keep):
                    self.best_keep = record

    def _add_trial(self, cfg: Cfg, record: TrialEnded) -> None:
        key = sha256_of(cfg)
        self.cfgs.setdefault(key, cfg)
        if isinstance(record.outcome, Measurement):
            self.values.setdefault(key, []).append(record.outcome.loss)
        else:
            self.failed.add(key)
        if self.has_baseline:
            self.spent += 1
            self.trial_s += record.outcome.trial_wall_s or 0.0

    @property
    def chosen(self) -> str | None:
        """The key of the configuration with the lowest noisy value; ``None`` before the first measurement."""
        sound = (key for key in self.values if key not in self.failed)
        return min(sound, key=lambda key: fmean(self.values[key]), default=None)

    @property
    def virtual_s(self) -> float:
        """Seconds of trials and of proposing since the baseline was measured."""
        return self.trial_s + self.propose_s

    def checkpoint(self, trials: int) -> Checkpoint:
        """The state now. Raises ``ValueError`` before the first measurement."""
        key = self.chosen
        if key is None:
            raise ValueError("the night has measured nothing")
        kept = self.best_keep.candidate_cfg if self.best_keep else self.baseline
        return Checkpoint(
            trials=trials,
            reached=min(trials, self.spent),
            virtual_s=self.virtual_s,
            propose_s=self.propose_s,
            chosen=changes_of(self.cfgs[key], self.baseline),
            noisy=fmean(self.values[key]),
            seeds=len(self.values[key]),
            true=self.true_mean(self.cfgs[key]),
            kept=changes_of(kept, self.baseline),
            kept_true=self.true_mean(kept),
            keeps=self.keeps,
        )


def read_night(
    records: Iterable[Event], true_mean: Callable[[Cfg], float], trials: Sequence[int] = TRIALS
) -> tuple[list[Checkpoint], list[Step]]:
    """The checkpoints in the order of ``trials``, and every change of what the night would hand over.

    A checkpoint includes the verdict that follows its last trial. A night that ended earlier repeats its last state.
    Raises ``ValueError`` for a trajectory without a measurement.
    """
    night = NightFold(true_mean)
    found: list[Checkpoint] = []
    path: list[Step] = []
    left = sorted(set(trials))
    chosen: str | None = None
    for record in records:
        if not isinstance(record, Evaluated | EvalFailed | StoppedEarly):
            while left and night.spent >= left[0]:
                found.append(night.checkpoint(left.pop(0)))
        night.add(record)
        if night.has_baseline and (now := night.chosen) is not None and now != chosen:
            chosen = now
            path.append(Step(trials=night.spent, virtual_s=night.virtual_s, true=true_mean(night.cfgs[now])))
    found += [night.checkpoint(n) for n in left]
    return found, path


def changes_of(cfg: Cfg, baseline: Cfg) -> dict[str, KnobValue]:
    """The knobs in which ``cfg`` differs from the baseline, with its values."""
    return {name: value for name, value in cfg.items() if not same_value(value, baseline[name])}
