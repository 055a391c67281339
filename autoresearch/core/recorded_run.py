"""A run over its ports: its records, its pauses, and what ends it early. What is done between two records is ``loop``.

Every record is durable before it is taken into account and shown; on a full disk it waits in memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from autoresearch.core.disk_wait import DiskWait
from autoresearch.core.energy_accounting import PHASE_AFTER, add_energy
from autoresearch.core.ports import Control, Journal, Meter, NullMeter, Observer
from autoresearch.core.record_builders import build_stopped
from autoresearch.core.records import Event, LoopComplete, Paused, Resumed, Stopped, encode
from autoresearch.core.trajectory import Trajectory
from autoresearch.errors import CorpusError, JournalError


class EndOfRun(Exception):
    """Leaves the iteration for a reason that is not a failure: a stop, or a pause that should end the process."""


@dataclass(slots=True, kw_only=True)
class RecordedRun:
    """The journal of a run and the state that is folded from it, with the user's requests and the disk's shortages."""

    trajectory: Trajectory
    journal: Journal
    control: Control
    observer: Observer
    iters: int
    on_pause: Literal["wait", "exit"]
    boot_id: str
    utc: Callable[[], str]
    shortage: Callable[[], str] = lambda: ""  # of disk space: why no trial can start; empty where there is enough
    changed_input: Callable[[], str] = lambda: ""  # which file that trials depend on has changed; empty for none
    clock: Callable[[], float] = time.monotonic
    meter: Meter = field(default_factory=NullMeter)
    paused_s: float = 0.0

    def pause_or_stop_if_requested(self) -> None:
        """Obey a pause or stop request: between trials, or between two parts of a trial that was suspended for it."""
        while True:
            self.end_if_stop_requested()
            if reason := self.control.pause_reason():
                self.pause(reason, "user", self.control.wait_while_paused)
            elif reason := self.shortage():
                self.pause(reason, "disk_space", self.disk.until_enough)
            else:
                return

    def pause(self, reason: str, waits_for: Literal["user", "disk_space"], wait: Callable[[], None]) -> None:
        """Wait between two records; the time does not count as work."""
        self.record(self.paused(reason, waits_for))
        if waits_for == "user" and self.on_pause == "exit":
            raise EndOfRun(f"paused ({reason})")
        began = self.clock()
        wait()
        self.paused_s += self.clock() - began
        self.end_if_stop_requested()
        self.record(Resumed(ts=self.utc(), paused_s=self.clock() - began))

    def paused(self, reason: str, waits_for: Literal["user", "disk_space"]) -> Paused:
        done = len(self.trajectory.iterations)
        return Paused(
            ts=self.utc(), reason=reason, waits_for=waits_for, completed_iters=done, requested_iters=self.iters
        )

    def end_if_stop_requested(self) -> None:
        if reason := self.control.stop_reason():
            raise EndOfRun(reason)

    def end_if_input_changed(self) -> None:
        if changed := self.changed_input():
            raise input_changed(changed)

    def record_stop(self, reason: str) -> None:
        self.record(build_stopped(self.trajectory, self.iters, reason, self.utc()))

    @property
    def disk(self) -> DiskWait:
        return DiskWait(self.shortage, self.control, self.observer, self.on_pause == "exit")

    def active_s(self) -> float:
        """Return the clock in seconds without the time spent paused."""
        return self.clock() - self.paused_s

    def record(self, event: Event) -> None:
        """Append ``event`` durably, then add it to the trajectory, then show it. On a full disk it waits in memory."""
        event = self.add_energy(event)
        payload = encode(event)
        try:
            self.journal.append(payload)
        except JournalError as full:
            if not full.no_space:
                raise
            self.record_after_wait(event, payload, full)
        else:
            self.note(event, payload)

    def add_energy(self, event: Event) -> Event:
        """Return ``event`` with what the meter read since the last record."""
        return add_energy(event, self.meter, self.trajectory)

    def record_after_wait(self, event: Event, payload: str, full: JournalError) -> None:
        """Append ``event`` once there is space, and after it when and how long the run waited, if it continues."""
        began, waited = self.clock(), self.paused(self.disk.reason(full), "disk_space")
        self.meter.phase("paused")
        self.disk.until_written(partial(self.journal.append, payload), full)
        waited_s = self.clock() - began
        self.paused_s += waited_s
        self.note(event, payload)
        if not isinstance(event, Stopped | LoopComplete):
            self.record(waited)
            self.record(Resumed(ts=self.utc(), paused_s=waited_s))
            self.meter.phase(PHASE_AFTER.get(type(event), "idle"))

    def note(self, event: Event, payload: str) -> None:
        """Take an event into account that is durable."""
        self.trajectory.add(event, payload.encode())
        if phase := PHASE_AFTER.get(type(event)):
            self.meter.phase(phase)
        with suppress(Exception):  # an observer cannot stop the run
            self.observer.recorded(event)


def input_changed(what: str) -> CorpusError:
    """The error that ends a run whose later trials could not be compared with its earlier ones."""
    hint = "restore it and start again: the run continues; or start --fresh with what is there now"
    return CorpusError(what, hint=hint)
