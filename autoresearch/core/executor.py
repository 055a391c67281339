"""The port of trials at work: hand in requests, take what they end with. Plain values both ways."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from autoresearch.core.measurement import Outcome, Suspended
from autoresearch.core.values import Cfg
from autoresearch.verdicts.stop_limits import Limits


@dataclass(frozen=True, slots=True)
class TrialOrder:
    """One trial to run, or the rest of one that was suspended. Its id is the number of the trial in the journal."""

    trial: int
    iter: int  # 0 for the baseline
    seed: int
    cfg: Cfg
    limits: Limits = ()  # losses above which it ends early: ``ports.Trial``
    suspended_at: Suspended | None = None  # where it was suspended last


@dataclass(frozen=True, slots=True)
class TrialProgress:
    """How far a running trial is. ``fraction`` is of its training budget."""

    id: int
    phase: str
    fraction: float
    step: int
    tokens_per_s: float | None
    where: str = ""  # the device or worker; empty where there is one


@dataclass(frozen=True, slots=True)
class TrialFinished:
    """What a trial ended with, and its bits per byte on the test split, which stay sealed."""

    id: int
    outcome: Outcome | Suspended
    test_bpb: float | None = None


OnTrialProgress = Callable[[TrialProgress], None]


def ignore_progress(_progress: TrialProgress) -> None:
    """An ``OnTrialProgress`` that ignores it."""


class TrialExecutor(Protocol):
    """Runs trials. It records nothing: what was submitted and never finished is lost with the process."""

    @property
    def capacity(self) -> int:
        """How many trials may be submitted and not finished at the same time; at least 1."""
        ...

    def submit(self, order: TrialOrder) -> int:
        """Take a trial and return its id. Raises ``ValueError`` beyond the capacity, and for an id that is taken."""
        ...

    def poll(self, timeout_s: float, on_progress: OnTrialProgress = ignore_progress) -> Sequence[TrialFinished]:
        """Return the trials that ended since the last call, after ``timeout_s`` at the latest where none did.

        ``on_progress`` receives progress in this call, from this thread, as soon as it is known. A serial executor
        runs its trial in this call, so that it returns when that has ended, however long it takes. While it waits it
        obeys the run's control ten times a second: a requested suspension reaches every running trial. Raises
        ``Interrupted`` if the user ends what runs: no trial is left running then, and none is reported.
        """
        ...

    def cancel(self, id: int) -> None:  # noqa: A002
        """End a trial; it is never reported. Does nothing for an id that is not at work."""
        ...
