"""The tracking process: reads what is appended, hands over each candidate once, also after a kill."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from autoresearch.config.secrets import KEY_VARIABLE, TRACKER_SECRETS, tracker_environ, without_secrets
from autoresearch.core.records import encode
from autoresearch.daemon.tracking import child, observer
from autoresearch.daemon.tracking.follow import follow
from autoresearch.errors import JournalDamaged
from autoresearch.report.trackers import TRACKERS
from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.storage.sealed_line import seal
from tests.unit.report.conftest import new_run
from tests.unit.report.trial_export.conftest import everything

__all__ = ["everything", "new_run"]


class Recorder:
    """A tracker that keeps what it is given in a list, or fails at an iteration."""

    written: list[str] = []  # noqa: RUF012
    fails_at: int | None = None

    def __init__(self, _place: object) -> None:
        pass

    def write(self, run) -> None:
        if run.iter == self.fails_at:
            raise ConnectionError("no route")
        self.written.append(run.id)

    def close(self) -> None:
        pass


@pytest.fixture
def recorder(monkeypatch):
    monkeypatch.setattr(Recorder, "written", [])
    monkeypatch.setattr(Recorder, "fails_at", None)
    spec = replace(TRACKERS["trackio"], packages=(), open=Recorder)
    monkeypatch.setattr("autoresearch.report.trackers.table.TRACKERS", {"trackio": spec})
    return Recorder


@pytest.fixture
def run(tmp_path, everything):
    """A run directory that grows: ``run(n)`` appends records up to the n-th."""
    lines = [seal(n, encode(record)) for n, record in enumerate(everything)]
    file = tmp_path / TRAJECTORY

    def grow(count: int | None = None, extra: bytes = b"") -> Path:
        file.write_bytes(b"".join(lines[:count]) + extra)
        return tmp_path

    return grow


def ids(*iters: int) -> list[str]:
    return [f"night-1-0000{n}" for n in iters]


def test_each_candidate_is_handed_over_as_it_closes(run, recorder):
    seen: list[list[str]] = []

    def wait() -> bool:
        seen.append(list(recorder.written))
        run(None if len(seen) == 2 else 8)
        return len(seen) == 2

    child.track("trackio", run(5), {}, wait)
    assert seen[0] == ids(0)
    assert recorder.written == ids(0, 1, 2, 3, 5)


def test_a_second_start_hands_over_nothing_twice(run, recorder):
    for _ in range(2):
        child.track("trackio", run(), {}, lambda: True)
    assert recorder.written == ids(0, 1, 2, 3, 5)


def test_after_a_failure_it_continues_with_the_one_that_failed(run, recorder, monkeypatch):
    monkeypatch.setattr(recorder, "fails_at", 2)
    with pytest.raises(ConnectionError):
        child.track("trackio", run(), {}, lambda: True)
    monkeypatch.setattr(recorder, "fails_at", None)
    child.track("trackio", run(), {}, lambda: True)
    assert recorder.written == ids(0, 1, 2, 3, 5)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\0", b'{"run_id":"other","destination_sha256":"","candidates":9}'])
def test_damaged_or_foreign_progress_begins_again(text, run, recorder):
    child.track("trackio", run(), {}, lambda: True)
    (run() / "tracking" / "trackio.json").write_bytes(text)
    child.track("trackio", run(), {}, lambda: True)
    assert recorder.written == ids(0, 1, 2, 3, 5) * 2


def test_another_destination_begins_again_and_its_password_is_not_kept(run, recorder):
    child.track("trackio", run(), {}, lambda: True)
    child.track("trackio", run(), {"TRACKIO_SERVER_URL": "https://x/?write_token=hush"}, lambda: True)
    assert recorder.written == ids(0, 1, 2, 3, 5) * 2
    assert "hush" not in (run() / "tracking" / "trackio.json").read_text()


def test_a_run_without_a_record_is_nothing(tmp_path, recorder):
    child.track("trackio", tmp_path, {}, lambda: True)
    assert recorder.written == []


def test_a_half_written_line_is_read_once_it_is_whole(run, everything):
    half = seal(4, encode(everything[4]))
    waits = iter([lambda: run(4, half[:-20]), lambda: run(4, b"\0" * 50), lambda: run(6)])

    def wait() -> bool:
        if (step := next(waits, None)) is None:
            return True
        step()
        return False

    found = list(follow(run(4, half[:30]) / TRAJECTORY, wait))
    assert found == everything[:6]


def test_a_damaged_line_is_named(run):
    file = run(6) / TRAJECTORY
    lines = file.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b'"', b"'", 1)
    file.write_bytes(b"".join(lines))
    with pytest.raises(JournalDamaged, match="line 3"):
        list(follow(file, lambda: True))


def test_an_error_is_one_line_and_exit_code_1(run, recorder, monkeypatch, capsys):
    monkeypatch.setattr(recorder, "fails_at", 0)
    monkeypatch.setattr(child, "die_with_parent", lambda _parent: None)
    monkeypatch.setattr(child, "_yield_to_trials", lambda: None)
    reading, writing = os.pipe()
    os.close(writing)
    assert child.main(["trackio", str(run()), str(reading), "1"]) == 1
    os.close(reading)
    assert capsys.readouterr().err == "trackio: ConnectionError: no route\n"


def test_a_login_reaches_the_process_of_its_own_tool_only():
    every = {name for names in TRACKER_SECRETS.values() for name in names}
    environ = dict.fromkeys([*every, KEY_VARIABLE, "NOTIFY_SOCKET", "PATH"], "x")
    assert without_secrets(environ) == {"PATH": "x"}
    for tool, own in TRACKER_SECRETS.items():
        assert set(tracker_environ(environ, tool)) == {"PATH", *own}


def test_the_process_ends_by_itself_once_its_pipe_is_closed(tmp_path, monkeypatch):
    """A real process on an empty run directory: it needs no library before there is a record."""
    seen: list[dict[str, str]] = []
    real = subprocess.Popen

    def watched(argv, **kwargs):
        seen.append(kwargs["env"])
        return real(argv, **kwargs)

    monkeypatch.setattr(subprocess, "Popen", watched)
    environ = {**os.environ, "WANDB_API_KEY": "hush", "HF_TOKEN": "mine"}
    process = observer.start_child("trackio", tmp_path, tmp_path / "logs" / "track.log", environ)
    process.finish()
    try:
        assert process.wait(60)
        assert process.poll() == 0, (tmp_path / "logs" / "track.log").read_text()
    finally:
        process.kill()
    assert seen[0]["HF_TOKEN"] == "mine"
    assert "WANDB_API_KEY" not in seen[0]
