"""At a real terminal: a first Ctrl-C lets the running trial finish, a second ends at once and loses only that trial.

The whole product runs, from the command line down to real trials; the kernel's terminal sends the signals.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from autoresearch.core.measurement import Measurement
from autoresearch.core.records import Stopped, TrialEnded, TrialStarted, decode
from autoresearch.storage.journal import read
from autoresearch.storage.lock import is_locked

CTRL_C = b"\x03"
# A session of its own whose terminal is stdin's: what a login shell does before it runs a command.
IN_A_TERMINAL = """if True:
    import fcntl, os, sys, termios
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.execv(sys.executable, [sys.executable, "-m", "autoresearch", *sys.argv[1:]])
"""


@dataclass
class Terminal:
    """A user who sees the screen and has a keyboard; ``stderr`` goes elsewhere."""

    process: subprocess.Popen[bytes]
    screen: int
    shown: bytes = b""

    def see(self, text: bytes) -> None:
        """Wait until ``text`` is shown, later than what was waited for before."""
        while text not in self.shown:
            self.shown += self._more()
        self.shown = self.shown.partition(text)[2]

    def press(self, key: bytes) -> None:
        os.write(self.screen, key)

    def see_the_end(self) -> int:
        """Read until the other end is closed; the exit code."""
        with contextlib.suppress(OSError):  # the kernel's error for a closed other end
            while more := self._more():
                self.shown += more
        return self.process.wait()

    def close(self) -> None:
        """Close the window."""
        os.close(self.screen)
        self.screen = -1

    def _more(self) -> bytes:
        assert select.select([self.screen], [], [], 120)[0], f"nothing more is shown after {self.shown[-2000:]!r}"
        return os.read(self.screen, 1 << 16)


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def terminal(
    run_dir: Path, small_corpus: Path, quick_trials: dict[str, Any], request: pytest.FixtureRequest
) -> Iterator[Terminal]:
    """A run whose trials have ``request.param`` steps, at the moment when the first one is training."""
    settings = {**quick_trials, "budget.size": request.param, "proposer": "random", "corpus": small_corpus}
    assignments = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    words = ["run", "--dir", str(run_dir), "--iters", "1000", *assignments]
    ours, theirs = pty.openpty()
    with (run_dir.parent / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-c", IN_A_TERMINAL, *words],
            stdin=theirs,
            stdout=theirs,
            stderr=stderr,
            env={**os.environ, "TERM": "xterm"},
        )
    os.close(theirs)
    terminal = Terminal(process, ours)
    try:
        terminal.see(b"tokens/s")  # the bar of the first trial
        yield terminal
    finally:
        process.kill()
        process.wait()
        if terminal.screen >= 0:
            terminal.close()


def records(run_dir: Path) -> list[Any]:
    return [decode(payload) for payload in read(run_dir / "trajectory.jsonl").payloads]


def nothing_is_left(run_dir: Path) -> bool:
    """Neither the daemon's lock is held nor does a process know of this run."""
    mine = str(run_dir)
    words = [p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"])]
    return not is_locked(run_dir / "run.lock") and not any(mine in w for w in words)


def check_good_order(run_dir: Path, reason: str) -> None:
    """Every trial that began was measured, its iteration is closed, and the last record says why the run ended."""
    found = records(run_dir)
    begun = [r.trial for r in found if isinstance(r, TrialStarted)]
    measured = [r.trial for r in found if isinstance(r, TrialEnded) and isinstance(r.outcome, Measurement)]
    assert begun == measured
    closes = found[-2].stage in ("baseline", "evaluated")
    assert closes or found[-2].stage == "proposed", "a stop is obeyed between a proposal and its trial too"
    assert isinstance(found[-1], Stopped)
    assert found[-1].reason == reason
    assert nothing_is_left(run_dir)


FINISHES = pytest.mark.parametrize("terminal", [30], indirect=True)
NEVER_FINISHES = pytest.mark.parametrize("terminal", [10**8], indirect=True)


@FINISHES
def test_ctrl_c_lets_the_running_trial_finish(terminal: Terminal, run_dir: Path) -> None:
    terminal.press(CTRL_C)
    assert terminal.see_the_end() == 0
    assert b"stopped: SIGINT" in terminal.shown
    check_good_order(run_dir, "SIGINT")


@pytest.mark.slow
@FINISHES
def test_a_closed_window_lets_the_running_trial_finish(terminal: Terminal, run_dir: Path) -> None:
    """SIGHUP, and every later write to the terminal fails."""
    terminal.close()
    assert terminal.process.wait() == 0
    check_good_order(run_dir, "SIGHUP")
    assert (run_dir.parent / "stderr").read_text() == ""


@pytest.mark.slow
@FINISHES
def test_systemd_s_sigterm_lets_the_running_trial_finish(terminal: Terminal, run_dir: Path) -> None:
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.see_the_end() == 0
    check_good_order(run_dir, "SIGTERM")


@pytest.mark.slow
@NEVER_FINISHES
def test_a_second_ctrl_c_ends_at_once_and_loses_only_that_trial(terminal: Terminal, run_dir: Path) -> None:
    (server,) = psutil.Process(terminal.process.pid).children()
    ends = [os.pidfd_open(p.pid) for p in (server, *server.children())]
    assert len(ends) == 2
    terminal.press(CTRL_C)
    terminal.see(b"tokens/s")  # the trial continues
    terminal.see(b"tokens/s")
    terminal.press(CTRL_C)
    assert terminal.see_the_end() == 0
    begun, stopped = records(run_dir)[-2:]
    assert isinstance(begun, TrialStarted)
    assert isinstance(stopped, Stopped)
    assert stopped.reason == "stopped at once"
    for end in ends:
        assert select.select([end], [], [], 60)[0], "server or trial outlived the daemon"
        os.close(end)
    assert nothing_is_left(run_dir)


@NEVER_FINISHES
def test_the_daemon_is_killed_and_everything_with_it(terminal: Terminal, run_dir: Path) -> None:
    """Even a trial that hangs, and so cannot notice that its reader is gone."""
    (server,) = psutil.Process(terminal.process.pid).children()
    (trial,) = server.children()
    ends = [os.pidfd_open(p.pid) for p in (server, trial)]
    trial.suspend()
    terminal.process.kill()
    for end in ends:
        assert select.select([end], [], [], 60)[0], "server or trial outlived the daemon"
        os.close(end)
    assert nothing_is_left(run_dir)
    assert isinstance(records(run_dir)[-1], TrialStarted)
