"""The machine's side of a night: directory, disk, clock, energy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from autoresearch.config.settings import Settings
from autoresearch.core.records import Event
from autoresearch.daemon.backend import gpus_of
from autoresearch.daemon.doctor.check import Check, fail, ok, warn
from autoresearch.energy.sensors.select import select_sensor
from autoresearch.errors import ConfigError, JournalError, LockHeld
from autoresearch.storage.lock import is_locked, lock_holder
from autoresearch.storage.run_dir import LOCK, PAUSE_FLAG
from autoresearch.trials.spec import Device

FULL_BYTES = 64 << 20  # below this a night's records and logs may not find room
TIGHT_BYTES = 1 << 30
SET_IT = "set the clock: timedatectl shows it, timedatectl set-ntp true keeps it right"
SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")


def directory(run_dir: Path) -> Check:
    """Whether this process could write there, and whether another one does. Takes and makes nothing."""
    name = "run directory"
    if is_locked(run_dir / LOCK):
        who = ", ".join(f"{k} {v}" for k, v in (lock_holder(run_dir / LOCK) or {}).items())
        hint = "it is running already: `autoresearch status` shows what it does"
        return fail(name, LockHeld(f"{run_dir} belongs to a running autoresearch ({who})", hint=hint))
    there = existing(run_dir)
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return fail(name, JournalError(f"cannot write in {there}", hint="choose another --dir, or see its permissions"))
    if os.path.lexists(run_dir / PAUSE_FLAG):
        return warn(name, f"{PAUSE_FLAG} is there: the run would pause at once", "`autoresearch resume` removes it")
    return ok(name, f"{run_dir}, nobody else runs there" if there == run_dir else f"{run_dir} will be made")


def disk(run_dir: Path) -> Check:
    """Room for records, logs and a prepared corpus."""
    free = shutil.disk_usage(existing(run_dir)).free
    found = f"{free / 2**30:.1f} GiB free at {existing(run_dir)}"
    hint = "free some space, or choose another --dir"
    if free < FULL_BYTES:
        return fail("disk", JournalError(found, hint=hint))
    return warn("disk", found, hint, free_bytes=free) if free < TIGHT_BYTES else ok("disk", found, free_bytes=free)


def clock(records: Sequence[Event], now: datetime) -> Check:
    """Order and durations never come from it, but people, `--until` and a certificate do."""
    found = f"{now.isoformat(timespec='seconds')}"
    last = datetime.fromisoformat(records[-1].ts) if records else None
    if last is not None and last > now:
        return warn("clock", f"{found}, before the run's last record ({last.isoformat()})", SET_IT)
    if now.year < 2025:
        return warn("clock", found, SET_IT)
    synchronized = SYNCHRONIZED.exists()
    return ok("clock", found + (", synchronized" if synchronized else ""), synchronized=synchronized)


def energy(settings: Settings, device: Device | None) -> Check:
    """By which sensor the joules of a trial would be counted, and why by no better one."""
    kind = device.device if device else settings.device
    gpus = gpus_of(settings, device) if device else ()
    opened = select_sensor("cuda" if kind == "cuda" else "cpu", gpus, settings.energy.sensor)
    sensor, refused = opened.sensor, "; ".join(opened.refused)
    sensor.close()
    if sensor.method != "none":
        facts = {"source": sensor.method, "scope": sensor.scope, "refused": list(opened.refused)}
        better = f"; no better one: {refused}" if refused else ""
        return ok("energy", f"{sensor.about}, scope {sensor.scope}{better}", **facts)
    if settings.energy.max_kwh:
        hint = "run without --max-kwh; --max-hours and --until need no sensor"
        return fail("energy", ConfigError(f"--max-kwh cannot be kept without a sensor: {refused}", hint=hint))
    hint = "energy_j is null for every trial; nothing else is missing"
    return warn("energy", f"no sensor: {refused}", hint, source="none", refused=list(opened.refused))


def existing(path: Path) -> Path:
    """The nearest directory that is there."""
    return next((p for p in (path, *path.absolute().parents) if os.path.exists(p)), Path("/"))


def utc_now() -> datetime:
    return datetime.now(UTC)
