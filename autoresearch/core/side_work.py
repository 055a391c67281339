"""The side trials of a run so far: those that ended, and the one that is open. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from autoresearch.core.measurement import Suspended
from autoresearch.core.side_trial_record import SideTrial, SideTrialStarted, SideTrialSuspended

SideRecord = SideTrialStarted | SideTrialSuspended | SideTrial


@dataclass(slots=True)
class SideWork:
    """Of all side trials at most one is open: it runs, or it is suspended."""

    side_trials: list[SideTrial] = field(default_factory=list)
    side_running: SideTrialStarted | None = None  # it began and has not ended
    side_suspended: SideTrialSuspended | None = None  # the open one, where it was suspended before
    side_tries: int = 0  # of the open one, during which the machine went down

    def side_suspended_at(self, trial: SideRecord | None = None) -> Suspended | None:
        """Where the open side trial was suspended last; ``None`` where it was not, or where ``trial`` is another."""
        if self.side_suspended is None or (trial and _key(trial) != _key(self.side_suspended)):
            return None
        return self.side_suspended.suspended

    def add_side_record(self, record: SideRecord) -> None:
        """A side trial began or resumed, was suspended, or ended."""
        match record:
            case SideTrialStarted():
                if self.side_suspended_at(record) is None:
                    self.side_suspended = None
                self.side_running = record
            case SideTrialSuspended():
                self.side_running, self.side_suspended = None, record
            case SideTrial():
                self.side_trials.append(record)
                self.side_running, self.side_suspended, self.side_tries = None, None, 0

    def lose_side_trial(self, boot_id: str) -> None:
        """A start of the daemon finds a side trial that never ended: it was lost with it, or with the machine."""
        if self.side_running is not None:
            self.side_tries += self.side_running.boot_id != boot_id
            self.side_running = None


def _key(trial: SideRecord) -> tuple[int, str, int | None, int]:
    return trial.side_trial, trial.purpose, trial.iter, trial.seed
