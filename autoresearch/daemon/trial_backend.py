"""A trial behind its port, with all that a run has to know of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from autoresearch.core.ports import Timer, Trial
from autoresearch.core.records import Yardstick
from autoresearch.daemon.command_files import CommandFiles
from autoresearch.daemon.inputs import Inputs
from autoresearch.daemon.remote_workers import RemoteFleet
from autoresearch.energy.sensors.select import SelectedSensor
from autoresearch.trials.estimate import Estimator
from autoresearch.trials.local_executor import MakeTrial


@dataclass(frozen=True, slots=True)
class TrialBackend:
    """A trial behind its port, the yardstick it measures with, and the estimator of what a candidate costs."""

    trial: Trial
    yardstick: Yardstick
    estimator: Estimator | None  # None for a command, whose costs are learned from its trials
    free_accelerator_bytes: int | None = None
    close: Callable[[], None] = lambda: None
    timer: Timer | None = None
    select_sensor: Callable[[], SelectedSensor] | None = None  # opens the power sensor of the device
    inputs: Inputs = field(default_factory=Inputs)  # the files that trials read
    command_files: CommandFiles | None = None  # of a command
    train_tokens: int | None = None  # of the corpus
    has_vault: bool = False  # whether its trials are scored on the test split too
    vocab: int | None = None  # of the corpus
    val_overlap: float | None = None  # share of validation that occurs verbatim in train
    workers: Sequence[MakeTrial] = ()  # of several trials at a time; none: ``trial``, one after the other
    fleet: RemoteFleet | None = None  # of trials on other machines

    @property
    def worker_count(self) -> int:
        """How many trials may run at a time; 0 where one runs after the other, on no worker of its own."""
        return self.fleet.workers if self.fleet else len(self.workers)

    @property
    def free_bytes(self) -> int | None:
        """What a trial may take, whichever device runs it; ``None``: what this machine has left."""
        known = self.fleet.free_bytes if self.fleet else None
        return self.free_accelerator_bytes if known is None else known
