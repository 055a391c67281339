"""A night of the service under a real systemd, kept as evidence: a pause, a stop, a start, a kill, and its end.

    python -m tests.service_night OUT [--iters N]        # as root; about half a minute per iteration on 2 cores

OUT gets commands.txt (who typed what, and the answer), journal.txt (what systemd and the service said), the run's
trajectory and report, and its settings. What happens does so at a place in the run, not at a time.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from autoresearch.core.records import IterationRecord, LoopComplete, Paused, Resumed, Started, Stopped
from autoresearch.data.prepare import prepare
from autoresearch.data.sources import Sources
from autoresearch.data.tokenizer import TokenizerSpec
from tests.systemd_night import check_whole, in_a_trial, last, main_pid
from tests.systemd_sandbox import NoSandboxError, Sandbox, have_ended, until, why_not

NAME = "night"
UNIT = f"autoresearch@{NAME}"
RUN_DIR = f"/var/lib/autoresearch/{NAME}"
PAUSE_AFTER, STOP_AFTER, KILL_AFTER = 2, 4, 6  # closed iterations
TRIAL_DEADLINE_S = 600.0
PAUSED_S = 10.0  # long enough that a reader sees that nothing happens
AMID = re.compile(r"training ([3-9]\d) %")
COUNTED: tuple[tuple[Any, str], ...] = (
    (Started, "starts"),
    (Paused, "pause"),
    (Stopped, "stop"),
    (IterationRecord, "iterations"),
)
KEPT = ("trajectory.jsonl", "report.txt", "report.html")


class Capture:
    """One person's terminal, and another's: each command with its answer, in order."""

    def __init__(self, box: Sandbox, path: Path) -> None:
        self.box = box
        self._file = path.open("w", encoding="utf-8")

    def note(self, text: str) -> None:
        """What no command shows."""
        self.write(f"# {text}\n\n")

    def type(self, *argv: str, user: str = "root") -> None:
        """Run a command in the sandbox."""
        self.prompt(user, *argv)
        self._answer(self.box.run(*argv, check=False, user="" if user == "root" else user))

    def autoresearch(self, *argv: str, user: str = "root") -> None:
        """The product's own command line."""
        self.prompt(user, "autoresearch", *argv)
        self._answer(self.box.autoresearch(*argv, check=False, user="" if user == "root" else user))

    def install(self) -> None:
        self.prompt("root", "autoresearch", "service", "install")
        self.write(f"{self.box.install()}\n")

    def status(self) -> None:
        self.type("systemctl", "status", "--no-pager", "-n", "0", UNIT)

    def close(self) -> None:
        self._file.close()

    def prompt(self, user: str, *argv: str) -> None:
        """Who typed what, when."""
        self.write(f"{datetime.now(UTC):%H:%M:%S} {user}$ {' '.join(argv)}\n")

    def _answer(self, done: subprocess.CompletedProcess[str]) -> None:
        code = f"[exit code {done.returncode}]\n" if done.returncode else ""
        self.write(f"{done.stdout}{done.stderr}{code}\n")

    def write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()
        print(text, end="", flush=True)


def night(box: Sandbox, at: Capture, iters: int) -> None:
    """From the installation to the run's last iteration."""
    at.install()
    for user, groups in (("ann", ["-G", "autoresearch"]), ("eve", [])):
        at.type("useradd", *groups, user)
    box.configure(NAME, {"profile": "tiny", "corpus": "/srv/corpus", "proposer": "tpe", "iters": iters})
    at.type("cat", f"/etc/autoresearch/{NAME}.toml")
    at.type("systemctl", "enable", "--now", UNIT)
    in_a_trial(box, NAME, after=1, deadline_s=TRIAL_DEADLINE_S)
    at.status()
    _pause(box, at)
    _stop_and_start(box, at)
    _kill(box, at)
    last(box, NAME, LoopComplete, deadline_s=iters * TRIAL_DEADLINE_S)
    until("the end", lambda: box.show(NAME, "ActiveState") == "inactive")
    at.status()
    at.autoresearch("status", RUN_DIR, user="ann")
    found = check_whole(box, NAME)
    counts = ", ".join(f"{sum(isinstance(r, kind) for r in found)} {what}" for kind, what in COUNTED)
    at.note(f"the whole log was read back: every iteration once, in order: {counts}")


def _amid_a_trial(box: Sandbox, after: int) -> tuple[int, int]:
    """Wait until a trial has done some of its steps; its server and itself."""
    processes = in_a_trial(box, NAME, after=after, deadline_s=TRIAL_DEADLINE_S)
    until("the middle of a trial", lambda: AMID.search(box.show(NAME, "StatusText")), TRIAL_DEADLINE_S)
    return processes


def _pause(box: Sandbox, at: Capture) -> None:
    _amid_a_trial(box, PAUSE_AFTER)
    at.type("touch", f"{RUN_DIR}/pause.flag", user="eve")
    at.type("touch", f"{RUN_DIR}/pause.flag", user="ann")
    last(box, NAME, Paused, deadline_s=TRIAL_DEADLINE_S)
    until("the trial's end", lambda: len(box.processes(NAME)) == 2)
    time.sleep(PAUSED_S)
    at.status()
    at.type("rm", f"{RUN_DIR}/pause.flag", user="ann")
    last(box, NAME, Resumed)


def _stop_and_start(box: Sandbox, at: Capture) -> None:
    _amid_a_trial(box, STOP_AFTER)
    at.note("a trial trains; stop returns when it is finished and recorded")
    at.type("systemctl", "stop", UNIT)
    last(box, NAME, Stopped)
    at.status()
    at.type("systemctl", "start", UNIT)


def _kill(box: Sandbox, at: Capture) -> None:
    server, trial = _amid_a_trial(box, KILL_AFTER)
    daemon = main_pid(box, NAME)
    ends = [os.pidfd_open(pid) for pid in (daemon, server, trial)]
    starts = sum(isinstance(r, Started) for r in box.records(NAME))
    at.note("SIGKILL from outside for the daemon, in the middle of a trial; server and trial must end with it")
    os.kill(daemon, signal.SIGKILL)
    assert have_ended(ends), "a process outlived the daemon"
    last(box, NAME, Started, more_than=starts)
    at.status()


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--iters", type=int, default=10)
    args = parser.parse_args(argv)
    if args.iters <= KILL_AFTER:
        parser.error(f"--iters: more than {KILL_AFTER}, for all that happens in the night")
    if why := why_not():
        parser.error(f"no systemd can be booted here: {why}")
    args.out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        sources = Sources(stdlib=True)
        prepare(sources.documents(), work / "corpus", names=sources.names, tokenizer=TokenizerSpec("bpe", 4096))
        try:
            with Sandbox(work / "box", work / "corpus") as box:
                _captured(box, args.out, args.iters)
        except NoSandboxError as e:
            parser.error(f"no systemd can be booted here: {e}")
    return 0


def _captured(box: Sandbox, out: Path, iters: int) -> None:
    at = Capture(box, out / "commands.txt")
    try:
        night(box, at, iters)
    finally:
        at.close()
        box.run("journalctl", "--sync")
        words = ("--no-pager", "--no-hostname", "--output=short-iso", "--utc", "-u", UNIT)
        (out / "journal.txt").write_text(box.run("journalctl", *words).stdout)
        shutil.copy(box.inside("/etc/autoresearch") / f"{NAME}.toml", out)
        for file in KEPT:
            if (box.state / NAME / file).exists():
                shutil.copy(box.state / NAME / file, out)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
