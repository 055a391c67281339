"""Checks of the machine: run directory, disk, clock, power sensor."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from autoresearch.config.local_time import zone_name
from autoresearch.config.settings import Settings
from autoresearch.config.time_zone import LOCALTIME, SET_ZONE, refuse_invalid_zone, zone_warning
from autoresearch.core.records import Event
from autoresearch.daemon.backend import gpus_of
from autoresearch.daemon.doctor.check import Check, fail, ok, warn
from autoresearch.energy.sensors.select import select_sensor
from autoresearch.errors import ConfigError, JournalError, LockHeld
from autoresearch.hints import command, hint_after
from autoresearch.storage.disk_space import shortage
from autoresearch.storage.lock import lock_holder
from autoresearch.storage.run_dir import LOCK, PAUSE_FLAG, has_writer
from autoresearch.trials.spec import Device

FULL_BYTES = 64 << 20  # below this, records and logs of a night may not fit
TIGHT_BYTES = 1 << 30
SET_CLOCK = "set the clock: timedatectl shows it, timedatectl set-ntp true synchronizes it"
SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")


def directory(run_dir: Path) -> Check:
    """Whether this process can write there and no other one holds the lock. Creates and locks nothing."""
    name = "run directory"
    if has_writer(run_dir):
        holder = ", ".join(f"{k} {v}" for k, v in (lock_holder(run_dir / LOCK) or {}).items())
        hint = f"the run is in progress: `{command('status', run_dir)}` shows it"
        return fail(name, LockHeld(f"{run_dir} is in use by another autoresearch ({holder})", hint=hint))
    directory = nearest_directory(run_dir)
    if not (directory.is_dir() and os.access(directory, os.W_OK | os.X_OK)):
        return fail(
            name,
            JournalError(f"cannot write in {directory}", hint=f"choose another --dir, or {_who_may_write(directory)}"),
        )
    if os.path.lexists(run_dir / PAUSE_FLAG):
        return warn(
            name, f"{PAUSE_FLAG} exists: the run would pause at once", f"`{command('resume', run_dir)}` removes it"
        )
    return ok(name, f"{run_dir}, not in use" if directory == run_dir else f"{run_dir} will be created")


def _who_may_write(directory: Path) -> str:
    refused = OSError(errno.EACCES, os.strerror(errno.EACCES))
    return f"get the right to write there: {hint_after(refused, directory, 'write')}"


def disk(run_dir: Path, floor_mib: float | None = None) -> Check:
    """Free space for records, logs and a prepared corpus; ``floor_mib``: see ``limits.min_free_disk_mib``."""
    if short := shortage(nearest_directory(run_dir), floor_mib):
        return fail("disk", JournalError(f"the run {short}", hint="free some space, or choose another --dir"))
    free = shutil.disk_usage(nearest_directory(run_dir)).free
    found = f"{free / 2**30:.1f} GiB free at {nearest_directory(run_dir)}"
    hint = "free some space, or choose another --dir"
    if free < FULL_BYTES:
        return fail("disk", JournalError(found, hint=hint))
    return warn("disk", found, hint, free_bytes=free) if free < TIGHT_BYTES else ok("disk", found, free_bytes=free)


def clock(
    records: Sequence[Event],
    now: datetime,
    synchronized_file: Path = SYNCHRONIZED,
    *,
    ends: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    localtime: Path = LOCALTIME,
) -> Check:
    """A wrong clock does not disturb order or durations, but `--until`, certificates and timestamps for users.

    ``ends`` say when the clock ends the run; where it does, a zone that was not chosen is a warning.
    """
    try:
        refuse_invalid_zone(environ)
    except ConfigError as e:
        return fail("clock", e)
    local = now.astimezone()
    found = f"{now.isoformat(timespec='seconds')}, local time {local:%H:%M} {zone_name(local)}"
    last = datetime.fromisoformat(records[-1].ts) if records else None
    if last is not None and last > now:
        return warn("clock", f"{found}, before the run's last record ({last.isoformat()})", SET_CLOCK)
    if now.year < 2025:
        return warn("clock", found, SET_CLOCK)
    synchronized = synchronized_file.exists()
    found = "; ".join([found + (", synchronized" if synchronized else ""), *ends])
    facts = {"synchronized": synchronized, "zone": zone_name(local), "ends": list(ends)}
    warning = zone_warning(environ, localtime)
    return warn("clock", f"{found}; {warning}", SET_ZONE, **facts) if ends and warning else ok("clock", found, **facts)


def energy(settings: Settings, device: Device | None) -> Check:
    """Which sensor would meter the energy of a trial, and why better ones cannot be used."""
    kind = device.device if device else settings.device
    gpus = gpus_of(settings, device) if device else ()
    opened = select_sensor("cuda" if kind == "cuda" else "cpu", gpus, settings.energy.sensor)
    sensor, refused = opened.sensor, "; ".join(opened.refused)
    sensor.close()
    if sensor.method != "none":
        facts = {"source": sensor.method, "scope": sensor.scope, "refused": list(opened.refused)}
        better = f"; better ones cannot be used: {refused}" if refused else ""
        return ok("energy", f"{sensor.about}, scope {sensor.scope}{better}", **facts)
    if settings.energy.max_kwh:
        hint = "run without --max-kwh; --max-hours and --until need no sensor"
        return fail("energy", ConfigError(f"--max-kwh cannot be enforced without a sensor: {refused}", hint=hint))
    hint = "none needed: the run works, with energy_j null for every trial"
    return warn("energy", f"no sensor: {refused}", hint, source="none", refused=list(opened.refused))


def nearest_directory(path: Path) -> Path:
    """``path``, or its nearest parent that exists."""
    return next((p for p in (path, *path.absolute().parents) if os.path.exists(p)), Path("/"))


def utc_now() -> datetime:
    return datetime.now(UTC)
