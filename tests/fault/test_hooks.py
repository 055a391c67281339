"""Hooks that hang, flood, fork, fail or do not exist: the run never waits for one, and no process of one is left."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from autoresearch.config.secrets import KEY_VARIABLE
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.hooks import supervise
from autoresearch.daemon.hooks.notice import RunInfo, build_notice
from autoresearch.daemon.hooks.runner import MAX_RUNNING, Runner

NOTICE = build_notice("finished", "complete", Trajectory(), RunInfo("box", "/night", "tiny", 2), "2026-11-21T22:00:00Z")
HANGS = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


class World:
    """A runner of Python scripts, its messages, and a pipe into which a script writes once it runs."""

    def __init__(self, tmp_path: Path) -> None:
        self.messages: list[str] = []
        self.log = tmp_path / "logs" / "hooks.log"
        self.fifo = tmp_path / "there"
        os.mkfifo(self.fifo)
        self.reader = os.open(self.fifo, os.O_RDWR)

    def runner(self, code: str, timeout_s: float = 30.0, **environ: str) -> Runner:
        command = [sys.executable, "-c", code, str(self.fifo)]
        return Runner(command, timeout_s, self.log, self.messages.append, {**os.environ, **environ})

    def read(self) -> str:
        """What a script wrote, once it has."""
        assert select.select([self.reader], [], [], 60)[0], "no script wrote anything"
        return os.read(self.reader, 1 << 16).decode()


WRITE = "import os, sys\ndef write(text): open(sys.argv[1], 'w').write(text)\n"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    os.close(world.reader)


def test_the_event_is_one_line_of_json_on_its_stdin(world):
    hook = world.runner(WRITE + "write(sys.stdin.read())")
    hook.start(NOTICE)
    line = world.read()
    hook.wait()
    assert line.endswith("\n")
    assert json.loads(line)["message"] == NOTICE.message
    assert world.messages == []
    assert ": exit code 0, " in world.log.read_text()


def test_neither_the_key_nor_the_notify_socket_is_passed_to_it(world):
    secret = {KEY_VARIABLE: "sk-1", "CREDENTIALS_DIRECTORY": "/run/c", "NOTIFY_SOCKET": "@n", "WATCHDOG_USEC": "9"}
    hook = world.runner(WRITE + "write(' '.join(sorted(os.environ)))", MINE="yes", **secret)
    hook.start(NOTICE)
    names = world.read().split()
    hook.wait()
    assert "MINE" in names
    assert not secret.keys() & set(names)


def test_one_that_hangs_is_ended_with_everything_that_it_started(world):
    forks = f"import subprocess\nchild = subprocess.Popen([sys.executable, '-c', {HANGS!r}], start_new_session=True)\n"
    hook = world.runner(WRITE + forks + "write(f'{os.getpid()} {child.pid}')\n" + HANGS, timeout_s=2)
    hook.start(NOTICE)
    pids = [int(pid) for pid in world.read().split()]
    hook.wait()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert world.messages == [f"on_event: the hook for finished (no. 1) took too long and was ended; see {world.log}"]
    assert "ended after its 2 s" in world.log.read_text()


def test_a_child_that_one_leaves_behind_is_waited_for_until_the_time_limit(world):
    leaves = f"import subprocess\nchild = subprocess.Popen([sys.executable, '-c', {HANGS!r}], start_new_session=True)\n"
    hook = world.runner(WRITE + leaves + "write(str(child.pid))", timeout_s=2)
    hook.start(NOTICE)
    left = int(world.read())
    hook.wait()
    assert not psutil.pid_exists(left)


def test_one_that_floods_is_ended_and_its_log_stays_small(world):
    hook = world.runner("while True: print('x' * 10000)", timeout_s=60)
    hook.start(NOTICE)
    hook.wait()
    assert world.messages == [f"on_event: the hook for finished (no. 1) ended with exit code 125; see {world.log}"]
    assert world.log.stat().st_size < supervise.KEPT_BYTES * 2


def test_what_it_prints_acts_on_no_terminal(world):
    hook = world.runner(r"print('\x1b[2J red \x07'); import sys; sys.exit(3)")
    hook.start(NOTICE)
    hook.wait()
    text = world.log.read_text()
    assert "\\x1b[2J red \\x07" in text
    assert text.replace("\n", "").isprintable()
    assert world.messages == [f"on_event: the hook for finished (no. 1) ended with exit code 3; see {world.log}"]


def test_beyond_the_limit_no_hook_is_started(world):
    hook = world.runner("import os, sys\nos.read(os.open(sys.argv[1], os.O_RDONLY), 1)")
    for _ in range(MAX_RUNNING + 1):
        hook.start(NOTICE)
    assert world.messages == [
        f"on_event: {MAX_RUNNING} hooks are still running, so no hook is started for: {NOTICE.message}",
    ]
    os.write(world.reader, b"." * MAX_RUNNING)
    hook.wait()


def test_a_missing_command_is_reported(world, tmp_path):
    hook = Runner([str(tmp_path / "gone")], 5, world.log, world.messages.append)
    hook.start(NOTICE)
    hook.wait()
    assert world.messages == [f"on_event: the hook for finished (no. 1) cannot be started; see {world.log}"]
    assert "cannot start" in world.log.read_text()


def test_a_log_that_cannot_be_written_costs_the_log_and_not_the_hook(world, tmp_path):
    (tmp_path / "logs").write_text("a file where the folder should be")
    hook = world.runner(WRITE + "write('here')")
    hook.start(NOTICE)
    assert world.read() == "here"
    hook.wait()


def test_a_full_log_is_renamed(world):
    hook = world.runner("print('words')")
    hook.max_log_bytes = 10
    for _ in range(3):
        hook.start(NOTICE)
        hook.wait()
    assert sorted(path.name for path in world.log.parent.iterdir()) == ["hooks.log", "hooks.log.1"]


def test_a_machine_out_of_processes_is_reported(world, monkeypatch):
    def no_more(*_args: object, **_how: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", no_more)
    world.runner("pass").start(NOTICE)
    assert world.messages == ["on_event: cannot start a process: Resource temporarily unavailable"]


def test_a_daemon_that_is_killed_leaves_a_hook_that_ends_in_time(world):
    """Its supervisor continues without the daemon: the last notice arrives, and no process stays for ever."""
    daemon = f"""
import os, signal
from pathlib import Path
from autoresearch.daemon.hooks.notice import RunInfo, build_notice
from autoresearch.daemon.hooks.runner import Runner
from autoresearch.core.trajectory import Trajectory
notice = build_notice("died", "killed", Trajectory(), RunInfo("b", "/", "tiny", 1), "2026-11-21T22:00:00Z")
import sys
Runner([sys.executable, "-c", {WRITE + "write(str(os.getpid()))" + chr(10) + HANGS!r}, {str(world.fifo)!r}], 3,
       Path({str(world.log)!r}), print).start(notice)
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = str(Path(__file__).parents[2])
    ended = subprocess.run([sys.executable, "-c", daemon], check=False, env={**os.environ, "PYTHONPATH": root})
    assert ended.returncode == -signal.SIGKILL
    hook = psutil.Process(int(world.read()))
    psutil.wait_procs([hook], timeout=60)
    assert not hook.is_running()


def test_waiting_for_the_last_hook_calls_the_heartbeat_again_and_again(world, monkeypatch):
    """A service manager takes silence at the end for a hang. The hook ends only at the third heartbeat."""
    monkeypatch.setattr("autoresearch.daemon.hooks.runner.POLL_S", 0.02)
    beats: list[bool] = []

    def beat() -> None:
        beats.append(True)
        if len(beats) == 3:
            os.write(world.reader, b"end")

    runner = world.runner("import sys; assert open(sys.argv[1]).read(3) == 'end'")
    runner.start(NOTICE)
    runner.wait(beat)
    assert len(beats) >= 3
    assert world.messages == [], "it was not ended by its time limit"
