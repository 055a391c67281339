"""Several trials that run at the same time: of each its device, iteration, seed, progress and the time left. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from autoresearch.report.format import pad, safe
from autoresearch.report.history import History, OpenTrial
from autoresearch.report.watch.eta import elapsed_s, format_estimate
from autoresearch.storage.progress_file import ProgressSnapshot, TrialAt

PHASES = {"train": "training", "validate": "validating"}
LEAST_FRACTION = 0.05  # of a trial, from which on its end is estimated
MAX_LEFT_S = 1e7
WHERE_CELLS = 12


@dataclass(frozen=True, slots=True)
class RunningTrial:
    """A trial as the records have it, with its progress where that is known."""

    trial: OpenTrial
    at: TrialAt | None
    left_s: float | None  # of training, at the pace so far

    @property
    def what(self) -> str:
        """``iteration 5, lr = 0.001, seed 3``."""
        of = f"iteration {self.trial.iter}" if self.trial.iter else "the baseline"
        return ", ".join(word for word in (of, self.trial.change, f"seed {self.trial.seed}") if word)

    @property
    def details(self) -> str:
        """``training, 18,432 tokens/s, about 5 min left``."""
        if self.at is None:
            return "starting"
        speed = f"{self.at.tokens_per_s:,.0f} tokens/s" if self.at.tokens_per_s else ""
        left = "" if self.left_s is None else f"{format_estimate(self.left_s)} left"
        return ", ".join(word for word in (PHASES.get(self.at.phase, self.at.phase), speed, left) if word)


def several_trials(history: History | None, progress: ProgressSnapshot | None, now: datetime) -> list[RunningTrial]:
    """The running trials by their numbers; none of a run in which one trial is at work."""
    if history is None or (len(history.open_trials) < 2 and not (progress and progress.trials)):
        return []
    at = {t.trial: t for t in progress.trials} if progress else {}
    return [RunningTrial(t, at.get(t.trial), left_s(t, at.get(t.trial), now)) for t in history.open_trials]


def left_s(trial: OpenTrial, at: TrialAt | None, now: datetime) -> float | None:
    """Seconds until a trial has trained, at the pace so far; ``None`` where that is not known."""
    spent = elapsed_s(trial.ts, now)
    if at is None or spent is None or at.phase != "train" or not LEAST_FRACTION <= at.fraction <= 1:
        return None
    left = spent * (1 - at.fraction) / at.fraction
    return left if left < MAX_LEFT_S else None


def trial_lines(trials: Sequence[RunningTrial], width: int) -> list[str]:
    """A line for each trial: ``cuda:0         42%  iteration 5, seed 3, training, about 5 min left``."""
    lines = []
    for t in trials:
        where, percent = (safe(t.at.where, WHERE_CELLS), f"{100 * t.at.fraction:3.0f}%") if t.at else ("", "    ")
        start = f"{pad(where, WHERE_CELLS)}  {percent}  "
        lines.append(start + safe(f"{t.what}, {t.details}", max(0, width - len(start))))
    return lines
