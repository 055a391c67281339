"""A night of the service under a real systemd, kept as evidence: a pause, a stop, a start, a kill, and its end.

    python -m tests.service_night OUT [--iters N]        # as root; about half a minute per iteration on 2 cores

OUT gets commands.txt (who typed what, and the answer), journal.txt (what systemd and the service said), the run's
trajectory and report, and its settings. What happens does so at a place in the run, not at a time.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from autoresearch.records import Closer, LoopComplete, Paused, Resumed, Started, Stopped
from autoresearch.training.prepare import prepare
from autoresearch.training.sources import Sources
from autoresearch.training.tokenizer import TokenizerSpec
from tests.systemd_night import check_whole, in_a_trial, last, main_pid
from tests.systemd_sandbox import NoSandboxError, Sandbox, have_ended, until, why_not

NAME = "night"
UNIT = f"autoresearch@{NAME}"
RUN_DIR = f"/var/lib/autoresearch/{NAME}"
PAUSE_AFTER, STOP_AFTER, KILL_AFTER = 2, 4, 6  # closed iterations
TRIAL_DEADLINE_S = 600.0
KEPT = ("trajectory.jsonl", "report.txt")


class Capture:
    """One person's terminal, and another's: each command with its answer, in order."""

    def __init__(self, box: Sandbox, path: Path) -> None:
        self.box = box
        self._file = path.open("w", encoding="utf-8")

    def note(self, text: str) -> None:
        """What no command shows."""
        self._write(f"# {text}\n\n")

    def type(self, *argv: str, user: str = "root") -> str:
        """Run a command in the sandbox."""
        done = self.box.run(*argv, check=False, user="" if user == "root" else user)
        return self.keep(user, " ".join(argv), done)

    def autoresearch(self, *argv: str, user: str = "root") -> str:
        """The product's own command line."""
        done = self.box.autoresearch(*argv, check=False, user="" if user == "root" else user)
        return self.keep(user, " ".join(("autoresearch", *argv)), done)

    def status(self) -> None:
        self.type("systemctl", "status", "--no-pager", "-n", "0", UNIT)

    def close(self) -> None:
        self._file.close()

    def keep(self, user: str, words: str, done: subprocess.CompletedProcess[str]) -> str:
        """Who typed what, when, and the answer."""
        code = f"[exit code {done.returncode}]\n" if done.returncode else ""
        self._write(f"{datetime.now(UTC):%H:%M:%S} {user}$ {words}\n{done.stdout}{done.stderr}{code}\n")
        return done.stdout

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()
        print(text, end="", flush=True)


def night(box: Sandbox, at: Capture, iters: int) -> None:
    """From the installation to the run's last iteration."""
    at.keep("root", "autoresearch service install", subprocess.CompletedProcess([], 0, box.install(), ""))
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
    counts = {kind.__name__: sum(isinstance(r, kind) for r in found) for kind in (Started, Paused, Stopped, Closer)}
    at.note(f"the whole log was read back: every iteration once, in order; {counts}")


def _pause(box: Sandbox, at: Capture) -> None:
    in_a_trial(box, NAME, after=PAUSE_AFTER, deadline_s=TRIAL_DEADLINE_S)
    at.type("touch", f"{RUN_DIR}/pause.flag", user="eve")
    at.type("touch", f"{RUN_DIR}/pause.flag", user="ann")
    last(box, NAME, Paused, deadline_s=TRIAL_DEADLINE_S)
    until("the trial's end", lambda: len(box.processes(NAME)) == 2)
    at.status()
    at.type("rm", f"{RUN_DIR}/pause.flag", user="ann")
    last(box, NAME, Resumed)


def _stop_and_start(box: Sandbox, at: Capture) -> None:
    in_a_trial(box, NAME, after=STOP_AFTER, deadline_s=TRIAL_DEADLINE_S)
    at.note("a trial runs")
    at.type("systemctl", "stop", UNIT)  # returns when the drain is over
    last(box, NAME, Stopped)
    at.status()
    at.type("systemctl", "start", UNIT)


def _kill(box: Sandbox, at: Capture) -> None:
    server, trial = in_a_trial(box, NAME, after=KILL_AFTER, deadline_s=TRIAL_DEADLINE_S)
    daemon = main_pid(box, NAME)
    ends = [os.pidfd_open(pid) for pid in (daemon, server, trial)]
    starts = sum(isinstance(r, Started) for r in box.records(NAME))
    at.note(f"SIGKILL from outside for the daemon, in the middle of a trial (it has {len(ends)} processes)")
    os.kill(daemon, signal.SIGKILL)
    assert have_ended(ends), "somebody outlived the daemon"
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
