"""A trainer without torch for the trial server: real processes, real signals and limits, a result by a formula.

``python -m autoresearch.testing.stand_in_trainer FD PARENT_PID`` is ``training.server`` with ``handle`` below for
its worker, so that everything around a trial can be tested in a tenth of a second. ``StandInServer`` starts it.
Knobs that no menu has say what a trial does: ``steps`` of ``step_s`` seconds, and at its end ``ends`` (``ENDS``).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from autoresearch.core.measurement import Cause, Failure, Suspended
from autoresearch.core.values import Cfg
from autoresearch.data.span import Span
from autoresearch.machine import die_with_parent
from autoresearch.storage.checkpoint_files import MANIFEST
from autoresearch.testing.fake_trial import fake_bpb, measurement
from autoresearch.training import server
from autoresearch.trials.messages import DEVICE, FAILED, MEASURED, PROGRESS, SEALED, SUSPENDED, Message
from autoresearch.trials.requests import ProbeRequest, Request, TrialRequest
from autoresearch.trials.server import TrialServer
from autoresearch.trials.spec import Budget, Device, TrialSpec

STEPS, STEP_S = 10, 0.002
CROWD, CROWD_BYTES = 10, 140 << 20
SLOWER = "STAND_IN_SLOWER"  # environment: how many times as long a step takes on this node
TORCH = "STAND_IN_TORCH"  # environment: the version of torch that a node reports
THIS_TORCH = "2.0"
SPAN = Span(start=0, tokens=1000, bytes=1000)  # what ``measurement`` says that it scored

# How a configuration ends that does not end with a measurement, by the cause that must be recorded.
ENDS: Mapping[Cause, str] = {
    Cause.ERROR: "error",
    Cause.OUT_OF_MEMORY: "memory",
    Cause.CRASHED: "abort",
    Cause.EXITED: "exit",
    Cause.GARBAGE: "garbage",
    Cause.TIMEOUT: "hang",
}


class StandInServer(TrialServer):
    """A trial server of this trainer, whatever it is asked for."""

    module = "autoresearch.testing.stand_in_trainer"

    def __init__(
        self, trainer: str, log: Path, env: Mapping[str, str] | None = None, cores: Sequence[int] = ()
    ) -> None:
        super().__init__(trainer, log, env, cores)
        self.preloaded = ()


def stand_in_spec(corpus: str) -> Callable[[Cfg, int], TrialSpec]:
    """What builds the spec of a trial of this trainer."""

    def build(cfg: Cfg, seed: int) -> TrialSpec:
        budget = Budget(kind="steps", size=STEPS)
        return TrialSpec(
            cfg=cfg, seed=seed, corpus=corpus, trainer="torch", device="cpu", threads=1, budget=budget, span=SPAN
        )

    return build


def stand_in_device() -> Device:
    """What a probe of this trainer reports."""
    versions = {"torch": os.environ.get(TORCH, THIS_TORCH)}
    return Device(device="cpu", kind="stand-in", precisions=("fp32",), free_bytes=None, versions=versions)


def handle(request: Request, send: Callable[[Message], None], suspend_fd: int) -> None:
    """See ``training.worker.handle``."""
    if isinstance(request, ProbeRequest):
        send({DEVICE: stand_in_device().model_dump(mode="json")})
    elif isinstance(request, TrialRequest):
        send(_train(request, send, suspend_fd))
    else:
        raise NotImplementedError(f"the stand-in trainer does not answer {request.kind}")


def _train(request: TrialRequest, send: Callable[[Message], None], suspend_fd: int) -> Message:
    cfg, seed = request.spec.cfg, request.spec.seed
    manifest = Path(request.checkpoint or "/nonexistent") / MANIFEST
    step = _resumed_at(manifest) if request.resume else 0
    steps = int(cfg.get("steps", STEPS))
    step_s = float(cfg.get("step_s", STEP_S)) * float(os.environ.get(SLOWER, "1"))
    while step < steps:
        send({PROGRESS: ("train", step / steps, step, None)})
        if select.select([suspend_fd], [], [], step_s)[0]:
            manifest.parent.mkdir(parents=True, exist_ok=True)
            manifest.write_text(json.dumps(step))
            at = Suspended(step=step, resumes_at=step, train_wall_s=0.0, val_wall_s=0.0)
            return {SUSPENDED: at.model_dump(mode="json")}
        step += 1
    if ended := _end(str(cfg.get("ends", ""))):
        return ended
    bpb = fake_bpb(cfg, seed)
    return {MEASURED: measurement(bpb).model_dump(mode="json"), SEALED: bpb + 0.01}


def _resumed_at(manifest: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(json.loads(manifest.read_text()))
    return 0


def _end(how: str) -> Message | None:
    """End as the configuration asks for, or return its last message."""
    match how:
        case "error":
            return {FAILED: Failure(cause=Cause.ERROR, detail="it diverged").model_dump(mode="json")}
        case "memory":
            held = []
            with contextlib.suppress(MemoryError):
                while True:
                    held.append(b"x" * (16 << 20))
            return {FAILED: Failure(cause=Cause.OUT_OF_MEMORY, detail="it held too much").model_dump(mode="json")}
        case "crowd":  # each below the limit of a process, together above that of a job
            for _ in range(CROWD):
                if os.fork() == 0:
                    die_with_parent(os.getppid())
                    _held = b"x" * CROWD_BYTES
                    time.sleep(3600.0)
            time.sleep(3600.0)
        case "abort":
            os.kill(os.getpid(), signal.SIGABRT)
        case "exit":
            os._exit(3)
        case "garbage":
            return {MEASURED: "nonsense"}
        case "hang":
            time.sleep(3600.0)
    return None


def main() -> None:
    server.WORKER = StandInServer.module
    server.main()


if __name__ == "__main__":
    main()
