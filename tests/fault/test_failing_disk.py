"""Each write, sync, truncation, rename and removal of a small run fails once: a named error, and nothing is lost."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch.core.ports import Progress
from autoresearch.core.records import encode
from autoresearch.daemon import service
from autoresearch.errors import AutoresearchError
from autoresearch.storage.exchange_log import ExchangeLog, read_exchanges
from autoresearch.storage.progress_file import ProgressFile
from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.fake_exchange import fake_exchange
from autoresearch.testing.recording_observer import RecordingObserver
from tests.fault.failing_disk import KINDS, FailingDisk
from tests.fault.test_kill import check_whole

ITERS = 3
SEGMENT_BYTES = 1  # of the log of exchanges: each append compresses


class Watcher(RecordingObserver):
    """Records what is durable, and writes progress.json as the daemon does."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__()
        self.progress = ProgressFile(run_dir, clock=lambda: 0.0)

    def recorded(self, event) -> None:
        super().recorded(event)
        self.progress.recorded(event)

    def progressed(self, progress: Progress) -> None:
        self.progress.progressed(progress)


def failures(life: Callable[[FailingDisk], None], directory: Path, kind: str, *, lasting: bool) -> int:
    """Let each call of ``kind`` in ``life`` fail, one after the other, until a life has fewer; how many there were."""
    nth = 0
    while True:
        nth += 1
        shutil.rmtree(directory, ignore_errors=True)
        disk = FailingDisk(directory, kind, nth, lasting=lasting)
        life(disk)
        if disk.calls < nth:
            return nth - 1


def assert_named(errors: list[AutoresearchError]) -> None:
    assert {e.exit_code for e in errors} <= {74}
    assert all(e.hint for e in errors)


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_continues_after_any_failed_call(make_settings, kind, lasting):
    settings = make_settings(reports=[], iters=ITERS)
    run_dir = settings.run_dir
    errors: list[AutoresearchError] = []

    def life(disk: FailingDisk) -> None:
        run_dir.mkdir()
        (run_dir / TRAJECTORY).write_bytes(b'{"seq":0,"stage":"me')  # what a power failure left of the first record
        watcher = Watcher(run_dir)
        try:
            with disk.plugged_in():
                service.run(settings, watcher, make_backend=fake_backend)
        except AutoresearchError as e:
            errors.append(e)
        acknowledged = [encode(event) for event in watcher.events]
        again = RecordingObserver()
        assert service.run(settings, again, make_backend=fake_backend) == "complete"
        check_whole(run_dir, ITERS, acknowledged + [encode(event) for event in again.events])

    calls = failures(life, run_dir, kind, lasting=lasting)
    assert calls >= {"write": 15, "torn write": 15, "fsync": 15, "truncate": 1}.get(kind, 0)
    assert_named(errors)
    if kind in ("write", "torn write", "fsync", "truncate"):
        assert len(errors) >= calls / 2, "progress.json is the only file whose failures may be ignored"


@pytest.mark.parametrize("kind", ["rename", "write", "fsync"])
def test_a_fresh_start_that_fails_leaves_both_runs(make_settings, kind):
    settings = make_settings(reports=[], iters=ITERS)
    run_dir = settings.run_dir
    errors: list[AutoresearchError] = []

    def life(disk: FailingDisk) -> None:
        before = Watcher(run_dir)
        service.run(settings, before, make_backend=fake_backend)
        old = (run_dir / TRAJECTORY).read_bytes()
        after = Watcher(run_dir)
        try:
            with disk.plugged_in():
                service.run(settings, after, fresh=True, make_backend=fake_backend)
        except AutoresearchError as e:
            errors.append(e)
        again = RecordingObserver()
        service.run(settings, again, make_backend=fake_backend)
        kept = [path.read_bytes() for path in [run_dir / TRAJECTORY, *run_dir.glob(f"archive/*/{TRAJECTORY}")]]
        assert old in kept
        if after.events:
            check_whole(run_dir, ITERS, [encode(event) for event in (*after.events, *again.events)])

    assert failures(life, run_dir, kind, lasting=False) >= 1
    assert_named(errors)


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_log_of_exchanges_continues_after_any_failed_call(tmp_path, kind, lasting):
    directory = tmp_path / "run"
    errors: list[AutoresearchError] = []

    def life(disk: FailingDisk) -> None:
        directory.mkdir()
        acknowledged = 0
        try:
            with disk.plugged_in():
                log = ExchangeLog(directory, SEGMENT_BYTES)
                try:
                    for number in range(1, 6):
                        log.append(fake_exchange(number))
                        acknowledged = number
                finally:
                    log.close()
        except AutoresearchError as e:
            errors.append(e)
        log = ExchangeLog(directory, SEGMENT_BYTES)
        assert log.next_number in (acknowledged + 1, acknowledged + 2), "at most the one that was not acknowledged"
        for number in range(log.next_number, 8):
            log.append(fake_exchange(number))
        log.close()
        assert [exchange.exchange for exchange in read_exchanges(directory)] == list(range(1, 8))

    assert failures(life, directory, kind, lasting=lasting) >= (0 if kind == "truncate" else 4)
    assert_named(errors)
