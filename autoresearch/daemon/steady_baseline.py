"""Under a budget in seconds a disturbed baseline is measured again, after a wait or at once, or the run ends."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from autoresearch.core.energy_accounting import MAX_BASELINE_REPEATS
from autoresearch.core.measurement import Outcome, Suspended
from autoresearch.core.ports import NEVER_SUSPENDED, Interrupted, OnProgress, Seal, SuspendControl, Trial, not_sealed
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.errors import BaselineFailed
from autoresearch.verdicts.stop_limits import Limits

# Before each repeat, in seconds; an hour in all. The repeat itself shows whether the machine is quiet by then: no other
# reading shows everything that can slow a trial down.
WAITS_S = (60.0, 240.0, 600.0, 1200.0, 1500.0)
POLL_S = 0.1


class StopControl(Protocol):
    """What of a run's control ends a wait."""

    def stop_reason(self) -> str: ...

    def stop_or_pause_requested(self) -> bool: ...


@dataclass(slots=True)
class SteadyBaseline:
    """A ``Trial`` that obeys ``budget.disturbed_baseline`` before a disturbed baseline is measured again, also with
    a seed that a candidate needs later.

    How often it is repeated is decided where marks are set (``energy_accounting``). Tries of earlier processes count
    for the wait, not for the refusal: the user started again.
    """

    trial: Trial
    trajectory: Trajectory
    control: StopControl
    notify: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _before: Counter[int] = field(init=False)  # disturbed tries of earlier processes, by seed

    def __post_init__(self) -> None:
        self._before = self._disturbed_tries()

    def measure(
        self,
        cfg: Cfg,
        seed: int,
        on_progress: OnProgress,
        suspend: SuspendControl = NEVER_SUSPENDED,
        seal: Seal = not_sealed,
        limits: Limits = (),
    ) -> Outcome | Suspended:
        """See ``ports.Trial``. Raises ``BaselineFailed`` where a disturbed baseline is refused."""
        meta = self.trajectory.meta
        of_baseline = meta is not None and cfg == meta.baseline_cfg
        if of_baseline and suspend.suspended_at is None and (tries := self._disturbed_tries()[seed]):
            self._before_repeat(tries, tries - self._before[seed])
        return self.trial.measure(cfg, seed, on_progress, suspend, seal, limits)

    def _disturbed_tries(self) -> Counter[int]:
        """How often the baseline ran disturbed and is run again, by seed."""
        return Counter(t.seed for t in self.trajectory.voided if t.iter == 0 and t.marks)

    def _before_repeat(self, tries: int, of_this_process: int) -> None:
        marks = " and ".join(self.trajectory.voided[-1].marks) or "disturbed"
        match self.trajectory.meta.disturbed_baseline if self.trajectory.meta else None:
            case "refuse" if of_this_process > MAX_BASELINE_REPEATS:
                hint = "end the other programs and start again; or --set budget.kind=flops, which no load changes"
                raise BaselineFailed(f"the baseline ran {marks} in each of {of_this_process} trials", hint=hint)
            case "wait":
                seconds = WAITS_S[min(tries, len(WAITS_S)) - 1]
                self.notify(f"the baseline ran {marks}: it is measured again in {seconds:.0f} s, on a quieter machine")
                self._wait(seconds)

    def _wait(self, seconds: float) -> None:
        """Wait; a pause request ends the wait, a stop request the run."""
        end = self.clock() + seconds
        while self.clock() < end and not self.control.stop_or_pause_requested():
            self.sleep(POLL_S)
        if reason := self.control.stop_reason():
            raise Interrupted(reason)
