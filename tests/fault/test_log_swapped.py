"""Another program changes trajectory.jsonl while a real daemon runs: it stops with 74, and no record is misplaced."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from autoresearch.storage.journal import read, unseal
from autoresearch.storage.run_dir import LOCK, TRAJECTORY, has_writer

DAEMON = Path(__file__).with_name("fake_daemon.py")
MANY = "100000"


@contextmanager
def daemon(run_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A daemon whose trials are fakes, after its first six records."""
    command = [sys.executable, str(DAEMON), "fake", str(run_dir), MANY, "0.02"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(6):
            assert process.stdout.readline().startswith("record ")
        threading.Thread(target=process.stdout.read, daemon=True).start()
        try:
            yield process
        finally:
            process.kill()


def sed(log: Path) -> None:
    subprocess.run(["sed", "-i", "s/never/ever/", str(log)], check=True)


def remove(log: Path) -> None:
    log.unlink()


def rotate(log: Path) -> None:
    log.rename(log.with_name("trajectory.jsonl.1"))
    log.touch()


def cut(log: Path) -> None:
    os.truncate(log, 100)


def append(log: Path) -> None:
    with log.open("ab") as file:
        file.write(b"a line of another program\n")


@pytest.mark.parametrize("change", [sed, remove, rotate, cut, append], ids=lambda change: change.__name__)
def test_the_daemon_stops_and_keeps_the_record_that_it_could_not_place(
    change: Callable[[Path], None], tmp_path: Path
) -> None:
    log = tmp_path / TRAJECTORY
    with daemon(tmp_path) as process:
        change(log)
        assert process.stderr is not None
        assert process.wait(timeout=30) != 0
        error = process.stderr.read()
    assert "JournalError" in error
    assert "is kept in trajectory.jsonl.unplaced-" in error
    (aside,) = tmp_path.glob(f"{TRAJECTORY}.unplaced-*")
    assert unseal(aside.read_bytes().rstrip(b"\n")), "a whole record"


def test_a_second_daemon_is_refused_although_run_lock_was_removed(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "autoresearch", "run", "--dir", str(tmp_path), "--proposer", "random"]
    with daemon(tmp_path) as process:
        (tmp_path / LOCK).unlink()
        for flags in ([], ["--fresh"]):
            second = subprocess.run([*command, *flags], capture_output=True, text=True, check=False)
            assert second.returncode == 75, second.stderr
            assert "another running autoresearch" in second.stderr or "a running autoresearch" in second.stderr
        assert process.poll() is None, "the first continues"
        assert has_writer(tmp_path), "status and watch still show it"
    assert read(tmp_path / TRAJECTORY).payloads, "the log is readable"
