"""`autoresearch watch` in a real terminal of 80 x 24, beside a real run: its screen, and their independence."""

from __future__ import annotations

import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from autoresearch.core.records import IterationRecord, decode
from autoresearch.daemon import service
from autoresearch.storage.journal import read
from autoresearch.storage.lock import is_locked, lock_holder
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.recording_observer import RecordingObserver

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

PATIENCE_S = 120
PROGRAM = f"{shlex.quote(sys.executable)} -m autoresearch"
ROOT = Path(__file__).parents[2]


@dataclass
class Pane:
    """A window of tmux with a shell in it. Its output is also written to the pipe ``output``, which wakes ``see``."""

    tmux: Callable[..., str]
    name: str
    output: int

    def type(self, line: str) -> None:
        self.tmux("send-keys", "-t", self.name, "-l", line)
        self.press("Enter")

    def press(self, key: str) -> None:
        self.tmux("send-keys", "-t", self.name, key)

    def resize(self, width: int, height: int) -> None:
        self.tmux("resize-window", "-t", self.name, "-x", str(width), "-y", str(height))

    def screen(self, *flags: str) -> str:
        return self.tmux("capture-pane", "-p", *flags, "-t", self.name)

    def see(self, *words: str) -> str:
        """Wait until all of ``words`` are on the screen at once; the screen."""
        end = time.monotonic() + PATIENCE_S
        while not all(word in (screen := self.screen()) for word in words):
            left = max(0.0, end - time.monotonic())
            assert left, f"never saw {words} but\n{screen}"
            select.select([self.output], [], [], left)
            with suppress(BlockingIOError):
                os.read(self.output, 1 << 16)
        return screen

    def end_with(self, key: str) -> None:
        """End what the shell runs. Keys that are typed before it is gone are discarded with its terminal mode."""
        child = self.child()
        self.press(key)
        child.wait(PATIENCE_S)

    def child(self) -> psutil.Process:
        """What the shell runs."""
        shell = int(self.tmux("display-message", "-p", "-t", self.name, "#{pane_pid}"))
        (child,) = psutil.Process(shell).children()
        return child


@dataclass
class Tmux:
    """A server of its own, so that no other session is affected."""

    folder: Path
    panes: list[int] = field(default_factory=list)

    def __call__(self, *words: str) -> str:
        command = ["tmux", "-S", str(self.folder / "tmux"), "-f", "/dev/null", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_S).stdout

    def open(self, name: str, width: int = 80, height: int = 24, **environ: str) -> Pane:
        """A window with a quiet shell in it."""
        fifo = self.folder / f"{name}.fifo"
        os.mkfifo(fifo)
        output = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)  # both ends, so that opening does not block
        self.panes.append(output)
        settings = {
            "PS1": "ready> ",
            "PYTHONPATH": str(ROOT),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "80",  # as exported by a shell: older than the window
            **environ,
        }
        words = [f"{key}={value}" for key, value in settings.items()]
        size = ["-x", str(width), "-y", str(height)]
        shell = ["env", "-u", "NO_COLOR", *words, "bash", "--norc", "--noprofile"]
        self("new-session", "-d", "-s", name, *size, shlex.join(shell))
        self("pipe-pane", "-t", name, f"cat > {shlex.quote(str(fifo))}")
        pane = Pane(self, name, output)
        pane.type("echo")  # so that there is output even if the shell was faster than the pipe
        pane.see("ready>")
        return pane


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    server = Tmux(tmp_path)
    try:
        yield server
    finally:
        with suppress(subprocess.CalledProcessError):  # it is gone with its last session
            server("kill-server")
        for output in server.panes:
            os.close(output)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def run_command(run_dir: Path, small_corpus: Path, quick_trials: dict[str, Any]) -> Callable[..., str]:
    """The command line of a real run whose trials have ``steps`` steps."""

    def command(steps: int, iters: int, *more: str) -> str:
        settings = {**quick_trials, "budget.size": steps, "proposer": "random", "corpus": small_corpus}
        assignments = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        return f"{PROGRAM} run " + shlex.join(["--dir", str(run_dir), "--iters", str(iters), *assignments, *more])

    return command


@pytest.fixture
def finished(make_settings, run_dir: Path) -> Path:
    """A complete run, from fakes."""
    assert service.run(make_settings({}, dir=run_dir), RecordingObserver(), make_backend=fake_backend) == "complete"
    return run_dir


def closed(run_dir: Path) -> int:
    """How many iterations are."""
    return sum(isinstance(decode(payload), IterationRecord) for payload in read(run_dir / "trajectory.jsonl").payloads)


@pytest.mark.slow
def test_a_night_beside_its_run(tmux: Tmux, run_dir: Path, run_command: Callable[..., str]) -> None:
    """Before there is a run, while it trains, when it is killed, replaced and done; watch never affects the run."""
    watch, run = tmux.open("watch"), tmux.open("run")
    watch.type(f"{PROGRAM} watch {run_dir}")
    watch.see("No run has started here yet.", "q quits; the run continues")

    run.type(run_command(100, 1000))  # long enough that a frame a second meets one in its training
    watch.see("A daemon is starting in this run directory.")
    screen = watch.see("Running: iteration ", "training", "━", "tokens/s", "by random", "verdicts", "val_bpb", "revert")
    lines = screen.removesuffix("\n").split("\n")
    assert len(lines) <= 24
    assert all(len(line) <= 80 for line in lines)
    assert lines[-1].startswith("q quits")

    daemon = lock_holder(run_dir / "run.lock")["pid"]
    watch.child().send_signal(signal.SIGKILL)
    watch.see("Killed")
    watch.type("reset")
    run.see(f"{closed(run_dir) + 2:>3}/1000")  # it continues
    assert is_locked(run_dir / "run.lock")
    assert lock_holder(run_dir / "run.lock")["pid"] == daemon
    watch.type(f"{PROGRAM} watch {run_dir}")
    watch.see("Running: iteration ")

    os.kill(daemon, signal.SIGKILL)
    watch.see("Interrupted: ", "No process is")
    run.type(run_command(10**8, 2, "--fresh"))
    watch.see("Running: the baseline.", "baseline    not measured yet", "training")
    os.kill(lock_holder(run_dir / "run.lock")["pid"], signal.SIGKILL)
    watch.see("Interrupted: ")
    run.type(run_command(20, 2, "--fresh"))
    watch.see("Complete: 2 of 2 iterations closed")
    assert not (run_dir / "progress.json").exists()
    watch.end_with("q")
    watch.see("ready> ", "autoresearch watch")  # what was on the screen before
    watch.type("echo exited with $?")
    watch.see("exited with 0")


def test_it_follows_the_size_of_its_window(tmux: Tmux, finished: Path) -> None:
    pane = tmux.open("watch", 80, 24)
    pane.type(f"{PROGRAM} watch {finished}")
    pane.see("Complete: 3 of 3", "q quits")
    pane.resize(200, 50)
    screen = pane.see("knobs ", "why")
    assert screen.removesuffix("\n").split("\n")[49].startswith("q quits")
    pane.resize(44, 12)
    while "verdict " in pane.see("baseline    ", "q quits"):  # the table has no room
        pass
    pane.end_with("C-c")
    pane.type("echo exited with $?")
    pane.see("exited with 0")


def test_it_can_be_suspended_and_resumed(tmux: Tmux, finished: Path) -> None:
    pane = tmux.open("watch")
    pane.type(f"{PROGRAM} watch {finished}")
    pane.see("Complete: 3 of 3")
    pane.press("C-z")
    pane.see("Stopped")
    pane.type("echo typed; fg")
    pane.see("Complete: 3 of 3")
    pane.end_with("q")
    pane.type("echo and gone")
    assert "typed" in pane.see("and gone\nready>")


def test_colour_is_a_choice(tmux: Tmux, finished: Path) -> None:
    screens = {}
    for name, environ in (("colour", {}), ("plain", {"NO_COLOR": "1"})):
        pane = tmux.open(name, **environ)
        pane.type(f"{PROGRAM} watch {finished}")
        pane.see("Complete: 3 of 3", "q quits")
        screens[name] = pane.screen("-e")
    assert re.search(r"\x1b\[32m(\x1b\[[0-9;]*m)*Complete", screens["colour"])
    assert "\x1b[32m" not in screens["plain"]


def test_a_terminal_that_is_closed_ends_it(tmux: Tmux, finished: Path) -> None:
    pane = tmux.open("watch")
    pane.type(f"{PROGRAM} watch {finished}")
    pane.see("Complete: 3 of 3")
    end = os.pidfd_open(pane.child().pid)
    tmux("kill-session", "-t", "watch")
    assert select.select([end], [], [], PATIENCE_S)[0]
    os.close(end)


def test_a_dull_terminal_gets_one_frame(tmux: Tmux, finished: Path) -> None:
    pane = tmux.open("watch", TERM="dumb")
    pane.type(f"{PROGRAM} watch {finished}")
    assert "q quits" not in pane.see("Complete: 3 of 3", "\n3     ")
