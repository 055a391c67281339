"""Record a night with one of everything: ``python tests/assets/make_trajectory.py tests/assets/trajectory_vN.jsonl``.

Run once per schema version. What it wrote stays as it is: later versions must read it (test_log_compatibility.py).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from autoresearch import __version__
from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.records import (
    EvalFailed,
    Evaluated,
    Event,
    Paused,
    ProposerFailed,
    Started,
    TrialStarted,
    encode,
)
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.values import Cfg
from autoresearch.daemon import service
from autoresearch.daemon.policy import build_policy
from autoresearch.machine import utc
from autoresearch.storage.decode import decode_trajectory
from autoresearch.storage.journal import Journal
from autoresearch.storage.pause_flag import pause, resume
from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.testing.scripted_proposer import ScriptedProposer
from autoresearch.trials.estimate import Estimator
from autoresearch.trials.spec import Device


def say(knob: str, value: object, reason: str) -> str:
    return json.dumps({"knob": knob, "new_value": value, "reason": reason})


FIRST_NIGHT: list[str | Exception] = [
    say("lr", 3e-3, "ten times the baseline's: the loss was still falling"),
    "I would try a higher learning rate.",
    say("mood", 1, "why not \u001b[2J"),
    say("n_head", 3, "fewer heads"),
    say("weight_decay", 0.1, "regularise \u6771\u4eac"),
    say("d_model", 256, "wider"),
    say("lr", 3e-3, "again"),
    say("n_layer", 6, "deeper"),
    ConnectionError("no server at 127.0.0.1:8000"),
]
SECOND_NIGHT: list[str | Exception] = [
    say("beta1", 0.8, "less momentum"),
    say("lr", 2e-3, "between the two"),
    say("precision", "bf16", "half the bytes"),
]


def fails(cfg: Cfg) -> Failure | None:
    """What cannot be measured that night."""
    if cfg["d_model"] == 256:
        return Failure(cause=Cause.NON_FINITE_LOSS, detail="the loss became nan in step 7 (train)", step=7, exit_code=0)
    if cfg["n_layer"] == 6:
        detail = "it held 9000 MiB, 8000 MiB were allowed"
        return Failure(
            cause=Cause.OUT_OF_MEMORY, detail=detail, exit_code=-9, stderr_tail="a warning\n", peak_bytes=9000
        )
    return None


class User(RecordingObserver):
    """Pauses, resumes and stops by what shows up; ``kill`` says during which trial the second signal comes."""

    def __init__(self, run_dir: Path, stop_after: int, kill_in: int = -1) -> None:
        super().__init__()
        self.run_dir, self.stop_after, self.kill_in = run_dir, stop_after, kill_in

    def recorded(self, event: Event) -> None:
        match event:
            case EvalFailed(cause=Cause.NON_FINITE_LOSS):
                pause(self.run_dir)
            case Paused():
                resume(self.run_dir)
            case TrialStarted(iter=n) if n == self.kill_in:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
            case Evaluated(iter=n) | ProposerFailed(iter=n) if n == self.stop_after:
                os.kill(os.getpid(), signal.SIGTERM)


def daemon(settings: Settings, script: list[str | Exception], user: User) -> None:
    """The real loop, journal and control around a proposer and a trial of our own."""
    journal = Journal(settings.run_dir / TRAJECTORY)
    known = list(decode_trajectory(journal, journal.path))
    hand = service.build_control(settings, settings.run_dir, user)
    trial = FakeTrial(fails, takes_s=0.01, aborted=lambda: hand.aborted)
    past = Trajectory.fold(known) if known else None
    loop = fake_loop(settings, ScriptedProposer(list(script)), trial, estimator(settings), past)
    loop.journal, loop.control, loop.observer = journal, hand, user
    if loop.trajectory.meta and not known:
        journal.append(encode(loop.trajectory.meta))
    loop.record(
        Started(
            ts=utc(),
            pid=os.getpid(),
            host="desk",
            boot_id=loop.boot_id,
            autoresearch_version=__version__,
            proposer=loop.proposer.name,
            iters_requested=settings.iters,
            torn_bytes=journal.torn_bytes,
        )
    )
    with hand.listening():
        loop.run()
    journal.close()


def estimator(settings: Settings) -> Estimator:
    device = Device(device="cpu", kind="fake", precisions=("fp32", "bf16"), free_bytes=None, versions={})
    policy = build_policy(settings)
    return Estimator(policy.baseline, 257, "torch", device, policy.budget, 1000)


def main(out: Path) -> None:
    with tempfile.TemporaryDirectory() as directory:
        run_dir = Path(directory)
        flags = {"dir": run_dir, "baseline.lr": 3e-4, "limits.max_attempts": 3, "limits.max_time_ratio": 9}
        night = resolve({**flags, "iters": 8}, {}).settings
        daemon(night, FIRST_NIGHT, User(run_dir, stop_after=6))
        with (run_dir / TRAJECTORY).open("ab") as file:
            file.write(b'{"seq":99,"stage":"tri')  # the machine lost power
        daemon(night, SECOND_NIGHT, User(run_dir, stop_after=0, kill_in=7))
        daemon(night, SECOND_NIGHT[1:2], User(run_dir, stop_after=0))
        daemon(resolve({**flags, "iters": 9}, {}).settings, SECOND_NIGHT[2:], User(run_dir, stop_after=0))
        out.write_bytes((run_dir / TRAJECTORY).read_bytes())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
