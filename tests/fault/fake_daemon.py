"""Daemons for the fault tests: the real service, which prints what is durable, so that a test can kill it there.

    python fake_daemon.py fake RUN ITERS TRIAL_S      one daemon whose trials are fakes that take TRIAL_S seconds
    python fake_daemon.py real RUN ITERS SETTINGS     one whose trials are real; SETTINGS is JSON by dotted name
    python fake_daemon.py storm RUN ITERS SEED        fakes, one after the other, each killed, until the run is complete

A daemon prints ``record PAYLOAD`` once a record is durable, and ``progress`` while a real trial runs. A storm prints
one JSON object at its end.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer, Progress
from autoresearch.core.records import Event, encode
from autoresearch.daemon import service
from autoresearch.daemon.policy import Policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver

STORM_TRIAL_S = 0.003
LONGEST_LIFE = 6  # records
STARTING_S = 0.03  # about what a daemon needs before its first record


class Aloud(RecordingObserver):
    """Writes to ``fd`` what it is told, at once."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self.fd = fd

    def recorded(self, event: Event) -> None:
        os.write(self.fd, f"record {encode(event)}\n".encode())

    def progressed(self, progress: Progress) -> None:
        os.write(self.fd, b"progress\n")


class OnlyRecords(Aloud):
    """Fakes report progress every millisecond."""

    def progressed(self, progress: Progress) -> None:
        pass


def fake(settings: Settings, trial_s: float, fd: int) -> str:
    def make_backend(
        _s: Settings, _p: Policy, _dir: Path, aborted: Callable[[], bool], _watcher: Observer
    ) -> TrialBackend:
        return TrialBackend(FakeTrial(takes_s=trial_s, aborted=aborted), YARDSTICK, None)

    return service.run(settings, OnlyRecords(fd), make_backend=make_backend)


def storm(settings: Settings, seed: int) -> dict[str, object]:
    """Each daemon is forked from this process, which has imported everything, and killed after some records."""
    dice = random.Random(seed)
    acknowledged: list[str] = []
    kills = torn = 0
    while True:
        heard, status = one_life(settings, dice)
        acknowledged += heard
        if status == 0:
            return {"kills": kills, "torn": torn, "acknowledged": acknowledged}
        assert os.WIFSIGNALED(status), "a daemon failed by itself: see stderr"
        assert os.WTERMSIG(status) == signal.SIGKILL
        kills += 1
        if dice.random() < 0.25 and settings.run_dir.exists():  # SIGKILL hardly ever tears a line; a power cut does
            torn += 1
            tear(settings.run_dir / TRAJECTORY, dice)


def tear(path: Path, dice: random.Random) -> None:
    """Append what a power cut can leave of the next record, or of the first one lost data in a file without records."""
    begun = b'{"seq":1234,"stage":"evaluated","ts":"2026'[: dice.randrange(1, 40)]
    if not path.exists() or b"\n" not in path.read_bytes():
        begun = b""
    with path.open("ab") as file:
        file.write(begun + b"\0" * dice.randrange(9))


def one_life(settings: Settings, dice: random.Random) -> tuple[list[str], int]:
    """What a daemon was heard to say before its end, and its wait status."""
    records = dice.randrange(LONGEST_LIFE)
    later_s = dice.uniform(0, STORM_TRIAL_S if records else STARTING_S)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(reading)
            fake(settings, STORM_TRIAL_S, writing)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(writing)
    heard: list[str] = []

    def kill() -> None:
        time.sleep(later_s)  # a random moment is what this is about
        os.kill(pid, signal.SIGKILL)

    with os.fdopen(reading, "r", encoding="ascii") as pipe:
        if not records:
            kill()
        for line in pipe:
            if line.endswith("\n"):
                heard.append(line.removeprefix("record ").rstrip("\n"))
            if len(heard) == records:
                kill()
    return heard, os.waitpid(pid, 0)[1]


def main() -> None:
    mode, run_dir, iters, last = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    flags = {"dir": run_dir, "iters": iters, "proposer": "random", "reports": ["text"], "decision.rule": "threshold"}
    match mode:
        case "fake":
            fake(resolve(flags, {}).settings, float(last), sys.stdout.fileno())
        case "real":
            service.run(resolve(flags | json.loads(last), {}).settings, Aloud(sys.stdout.fileno()))
        case "storm":
            print(json.dumps(storm(resolve(flags, {}).settings, int(last))))


if __name__ == "__main__":
    main()
