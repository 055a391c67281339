"""On a full disk the daemon waits for space and continues: nothing is lost, and the user still controls it."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from autoresearch.core.records import (
    Event,
    LoopComplete,
    Meta,
    Paused,
    Proposed,
    Resumed,
    Started,
    TrialEnded,
    TrialStarted,
    decode,
)
from autoresearch.daemon import final_report, service
from autoresearch.errors import JournalError
from autoresearch.report import load
from autoresearch.storage import held_file
from autoresearch.storage.journal import read
from autoresearch.storage.lock import waits_for
from autoresearch.storage.run_dir import LOCK, REPORT, TRAJECTORY
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.recording_observer import RecordingObserver
from tests.fault.failing_disk import FailingDisk
from tests.fault.small_disk import SmallDisk, small_disk

DAEMON = Path(__file__).with_name("fake_daemon.py")
ITERS = 3
CHANCE = {"ts", "seq", "crc", "pid", "boot_id", "run_id", "wall_s", "iter_wall_s", "overhead_s", "propose_wall_s"}
PATIENCE_S = 60
POLL_S = 0.02  # between two looks at the disk, in this process


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("core.disk_wait", "daemon.disk_space", "daemon.final_report"):
        monkeypatch.setattr(f"autoresearch.{module}.POLL_S", POLL_S)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", "2m") as disk:
        yield disk


class Filler(RecordingObserver):
    """Fills the disk when a record of a kind appears, and empties it when the run has looked at it ``calls`` times."""

    def __init__(self, disk: SmallDisk, kind: type[Event], calls: int = 2) -> None:
        super().__init__()
        self.disk, self.kind, self.calls = disk, kind, calls
        self.waits: list[str] = []

    def recorded(self, event: Event) -> None:
        super().recorded(event)
        if isinstance(event, self.kind) and not self.waits:
            self.disk.fill()

    def waiting(self, reason: str) -> None:
        if reason:
            self.waits.append(reason)
            if len(self.waits) >= self.calls:
                self.disk.empty()


def content(run_dir: Path) -> list[dict[str, Any]]:
    """The records without what differs between two runs, and without those of a wait."""
    found = [json.loads(payload) for payload in read(run_dir / TRAJECTORY).payloads]
    return [without_chance(r) for r in found if r.get("waits_for") != "disk_space" and r["stage"] != "resumed"]


def without_chance(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_chance(v) for name, v in value.items() if name not in CHANCE and not name.endswith("_s")}
    return [without_chance(v) for v in value] if isinstance(value, list) else value


def records(run_dir: Path) -> list[Any]:
    return [decode(payload) for payload in read(run_dir / TRAJECTORY).payloads]


@pytest.mark.parametrize("reserve", [True, False], ids=["space was reserved", "none was reserved"])
@pytest.mark.parametrize("kind", [Started, TrialStarted, TrialEnded, Proposed], ids=lambda kind: kind.__name__)
def test_a_disk_that_fills_and_is_emptied_changes_nothing_but_the_time(
    make_settings: Any,
    tmp_path: Path,
    disk: SmallDisk,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[Event],
    reserve: bool,
) -> None:
    if not reserve:
        monkeypatch.setattr(held_file, "preallocate", lambda *_: False)
    undisturbed = make_settings(reports=[], iters=ITERS)
    service.run(undisturbed, RecordingObserver(), make_backend=fake_backend)
    observer = Filler(disk, kind)
    settings = make_settings(reports=[], iters=ITERS, dir=disk.path / "run")
    assert service.run(settings, observer, make_backend=fake_backend) == "complete"
    assert observer.waits[0].startswith("waits for disk space: ")
    assert f" MiB free on {disk.path}, needs " in observer.waits[0]
    assert content(settings.run_dir) == content(undisturbed.run_dir)
    assert [type(r) for r in records(settings.run_dir) if isinstance(r, Paused | Resumed)] == [Paused, Resumed]
    (paused,) = [r for r in records(settings.run_dir) if isinstance(r, Paused)]
    (resumed,) = [r for r in records(settings.run_dir) if isinstance(r, Resumed)]
    assert (paused.waits_for, paused.reason.startswith("waits for disk space")) == ("disk_space", True)
    assert resumed.paused_s >= POLL_S


def test_no_trial_starts_below_the_floor(make_settings: Any, disk: SmallDisk) -> None:
    observer = Filler(disk, TrialEnded, calls=1)
    settings = make_settings({"limits.min_free_disk_mib": 1}, reports=[], iters=ITERS, dir=disk.path / "run")
    disk.fill()
    assert service.run(settings, observer, make_backend=fake_backend) == "complete"
    assert "needs 1.0" in observer.waits[0]
    first = records(settings.run_dir)[:4]
    assert [type(r) for r in first] == [Meta, Started, Paused, Resumed], "the wait of the start is recorded"
    assert (first[2].waits_for, first[2].reason) == ("disk_space", observer.waits[0])
    assert first[2].ts < first[1].ts
    assert first[3].paused_s >= POLL_S
    assert load(settings.run_dir).disk_waits == 1


def test_with_a_floor_of_0_only_a_failed_write_makes_it_wait(make_settings: Any, disk: SmallDisk) -> None:
    observer = Filler(disk, TrialEnded)
    settings = make_settings({"limits.min_free_disk_mib": 0}, reports=[], iters=ITERS, dir=disk.path / "run")
    assert service.run(settings, observer, make_backend=fake_backend) == "complete"
    assert observer.waits == [], "what was reserved was enough"


class Relieved(RecordingObserver):
    """Repairs a failing disk as soon as the run waits."""

    def __init__(self, disk: FailingDisk) -> None:
        super().__init__()
        self.disk, self.waits = disk, 0

    def waiting(self, reason: str) -> None:
        if reason:
            self.waits += 1
            self.disk.nth = 0


@pytest.mark.parametrize(
    ("kind", "number"),
    [("write", errno.ENOSPC), ("torn write", errno.ENOSPC), ("fsync", errno.ENOSPC), ("fsync", errno.EDQUOT)],
)
def test_each_write_of_a_run_may_meet_a_full_disk(
    make_settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, number: int
) -> None:
    """Whichever call fails, and with it every later one until there is space."""
    monkeypatch.setattr("autoresearch.core.disk_wait.POLL_S", 0.0)
    monkeypatch.setattr("autoresearch.daemon.disk_space.POLL_S", 0.0)
    undisturbed = make_settings(reports=[], iters=ITERS)
    service.run(undisturbed, RecordingObserver(), make_backend=fake_backend)
    nth = waited = 0
    while True:
        nth += 1
        settings = make_settings(reports=[], iters=ITERS, dir=tmp_path / f"run-{nth}")
        disk = FailingDisk(settings.run_dir, kind, nth, lasting=True, number=number)
        observer = Relieved(disk)
        with disk.plugged_in():
            assert service.run(settings, observer, make_backend=fake_backend) == "complete"
        assert content(settings.run_dir) == content(undisturbed.run_dir)
        waited += observer.waits > 0
        if not observer.waits and disk.calls < nth:
            break
    assert waited >= 15


@contextmanager
def daemon(run_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A daemon whose trials are fakes, after its first record of a trial."""
    command = [sys.executable, str(DAEMON), "fake", str(run_dir), "100000", "0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while not process.stdout.readline().startswith('record {"stage":"evaluated"'):
            assert process.poll() is None
        threading.Thread(target=process.stdout.read, daemon=True).start()
        try:
            yield process
        finally:
            process.kill()


def say(*words: str | Path) -> str:
    """What a command prints, errors included."""
    command = [sys.executable, "-m", "autoresearch", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def last(run_dir: Path) -> Any:
    return decode(read(run_dir / TRAJECTORY).payloads[-1])


@pytest.mark.slow
def test_a_waiting_daemon_says_so_and_obeys(disk: SmallDisk) -> None:
    run_dir = disk.path / "run"
    with daemon(run_dir) as process:
        disk.fill()
        wait_for(lambda: getattr(last(run_dir), "waits_for", "") == "disk_space")
        for words in (["status", run_dir], ["watch", "--once", run_dir]):
            shown = "".join(say(*words).split())  # lines are broken inside of the path
            assert f"waitsfordiskspace:0.0MiBfreeon{disk.path},needs0.1MiB" in shown
        ticks = cpu_ticks(process.pid)
        time.sleep(2)
        assert cpu_ticks(process.pid) - ticks < 0.2 * 2 * os.sysconf("SC_CLK_TCK"), "it does not poll busily"
        (run_dir / "pause.flag").touch()
        wait_for(lambda: getattr(last(run_dir), "waits_for", "") == "user")
        (run_dir / "pause.flag").unlink()
        wait_for(lambda: getattr(last(run_dir), "waits_for", "") == "disk_space")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
    assert last(run_dir).stage == "stopped"
    assert "waits for" not in say("status", run_dir)


def test_a_start_on_a_full_disk_is_shown_before_there_is_a_record_and_recorded_after_it(disk: SmallDisk) -> None:
    run_dir = disk.path / "run"
    run_dir.mkdir()
    (run_dir / LOCK).write_bytes(b" " * 1024)  # of an earlier start, so that what it waits for can be written there
    disk.fill()
    command = [sys.executable, str(DAEMON), "fake", str(run_dir), "100000", "0.01"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(lambda: bool(waits_for(run_dir / LOCK)))
            for words in (["status", run_dir], ["watch", "--once", run_dir]):
                shown = "".join(say(*words).split())
                assert f"waitsfordiskspace:0.0MiBfreeon{disk.path},needs0.1MiB" in shown
            disk.empty()
            wait_for(lambda: any(isinstance(r, Resumed) for r in records(run_dir)))
        finally:
            process.kill()
    found = records(run_dir)
    assert [type(r) for r in found[:4]] == [Meta, Started, Paused, Resumed]
    assert found[2].reason.startswith(f"waits for disk space: 0.0 MiB free on {disk.path}")


def test_a_report_that_a_full_disk_prevents_is_written_when_there_is_space(make_settings: Any, disk: SmallDisk) -> None:
    observer = Filler(disk, LoopComplete)
    settings = make_settings(reports=["text"], iters=ITERS, dir=disk.path / "run")
    assert service.run(settings, observer, make_backend=fake_backend) == "complete"
    assert len(observer.waits) == 2
    report = settings.run_dir / REPORT
    assert f"{ITERS} iterations" in report.read_text()
    words = "\n".join(observer.messages)
    assert f"report.txt was not written: autoresearch: cannot write {report}: No space left on device" in words
    assert "report.txt is written: there was disk space again" in words


def test_a_report_older_than_the_trajectory_is_written_by_the_next_start(make_settings: Any, disk: SmallDisk) -> None:
    observer = Filler(disk, LoopComplete)
    settings = make_settings(reports=["text"], iters=ITERS, dir=disk.path / "run")
    service.run(settings, RecordingObserver(), make_backend=fake_backend)
    report = settings.run_dir / REPORT
    current = report.read_bytes()
    report.write_bytes(b"of an earlier end")
    os.utime(report, ns=(0, 0))
    disk.fill()
    final_report.write_reports(settings, observer)
    assert "report.txt: no disk space; the next start writes it" in observer.messages[-1]
    assert report.read_bytes() == b"of an earlier end"
    disk.empty()
    assert service.run(settings, observer, make_backend=fake_backend) == "complete"
    assert report.read_bytes() == current


def test_a_stop_without_space_for_the_record_ends_at_once_and_names_the_loss(
    make_settings: Any, tmp_path: Path
) -> None:
    settings = make_settings(reports=[], iters=ITERS, dir=tmp_path / "run")
    disk = FailingDisk(settings.run_dir, "write", 8, lasting=True, number=errno.ENOSPC)

    class Impatient(RecordingObserver):
        def waiting(self, reason: str) -> None:
            if reason:
                os.kill(os.getpid(), signal.SIGTERM)

    began = time.monotonic()
    with disk.plugged_in(), pytest.raises(JournalError, match="ended before there was space") as error:
        service.run(settings, Impatient(), make_backend=fake_backend)
    assert time.monotonic() - began < PATIENCE_S
    assert error.value.exit_code == 74
    assert "the next start repeats" in error.value.hint
    assert service.run(settings, RecordingObserver(), make_backend=fake_backend) == "complete"


def cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
