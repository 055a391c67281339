"""What is known of a run once its directory is held and its journal is read, passed as one value to the later steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.control import RunControl
from autoresearch.daemon.disk_space import StartupWait
from autoresearch.daemon.inputs import Inputs
from autoresearch.daemon.policy import Policy
from autoresearch.energy.meter import PowerMeter
from autoresearch.proposers.replay import Recording
from autoresearch.storage.journal import Journal


@dataclass(frozen=True, slots=True)
class RunTiming:
    """The clock of a run, and how long its idle power is measured before the first trial."""

    now: Callable[[], datetime] = datetime.now  # local time, for `until` and `window`
    sleep: Callable[[float], None] = time.sleep
    idle_s: float = 3.0  # of metered time that are enough
    idle_deadline_s: float = 10.0  # for a sensor that answers late or not at all
    poll_s: float = 0.1  # between two looks at the sensor


@dataclass(frozen=True, slots=True)
class RunContext:
    """One run in this process. ``trajectory`` grows with the journal; ``meter`` has no sensor before ``meter_run``."""

    settings: Settings
    policy: Policy
    run_dir: Path
    journal: Journal
    trajectory: Trajectory
    observer: Observer
    control: RunControl
    meter: PowerMeter
    replies: Recording = ()
    timing: RunTiming = RunTiming()
    inputs: Inputs = field(default_factory=Inputs)  # the files of settings that the user named
    startup_wait: StartupWait = field(default_factory=StartupWait)  # for disk space, before there was a record
