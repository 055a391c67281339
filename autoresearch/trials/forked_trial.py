"""One measurement in a process of its own: however that process ends, the result is a Measurement or a Failure."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from autoresearch.core.measurement import OUTCOME_OR_SUSPENDED, Cause, Failure, Measurement, Outcome, Suspended
from autoresearch.core.ports import NEVER_SUSPENDED, OnProgress, Seal, SuspendControl, not_sealed
from autoresearch.core.speeds import MatmulPeak, Speed, Timing
from autoresearch.core.values import Cfg
from autoresearch.machine import spare_bytes
from autoresearch.storage.checkpoint_files import remove_checkpoint
from autoresearch.storage.files import open_append, opened_directory
from autoresearch.trials.child_output import ChildOutput
from autoresearch.trials.ending import T, judge_end, sealed_value
from autoresearch.trials.requests import LimitedRequest, MatmulPeakRequest, SpeedRequest, TrialRequest
from autoresearch.trials.runner import RequestRunner
from autoresearch.trials.spec import TrialSpec
from autoresearch.trials.suspend import SuspendFailed, add_earlier_parts, suspended_at_last_checkpoint
from autoresearch.verdicts.stop_limits import Limits

KEPT_STDERR_FILES = 100
_STDERR_NAME = re.compile(r"trial-\d+\.stderr")

SPEED: TypeAdapter[Speed | Failure] = TypeAdapter(Speed | Failure)
PEAK: TypeAdapter[MatmulPeak | Failure] = TypeAdapter(MatmulPeak | Failure)


@dataclass(slots=True)
class ForkedTrial:
    """The real implementation of the ``Trial`` port: one child of the trial server per measurement."""

    runner: RequestRunner
    spec: Callable[[Cfg, int], TrialSpec]
    deadline_s: float
    logs: Path
    checkpoint: Path  # the folder for the one trial that may be suspended
    memory_cap_bytes: int | None = None
    memory_for: Callable[[Cfg], int] | None = None  # where it runs on another machine; what is spare here if not given

    def measure(
        self,
        cfg: Cfg,
        seed: int,
        on_progress: OnProgress,
        suspend: SuspendControl = NEVER_SUSPENDED,
        seal: Seal = not_sealed,
        limits: Limits = (),
    ) -> Outcome | Suspended:
        """See ``ports.Trial``. A server lost between trials is restarted; lost during a trial, the trial failed."""
        spec = self.spec(cfg, seed).model_copy(update={"stop_above": limits})
        earlier = suspend.suspended_at
        resume = earlier is not None and earlier.resumes_at is not None
        if not resume:  # a checkpoint there is of a trial that has ended, or of one whose record was lost
            remove_checkpoint(self.checkpoint)
        request = TrialRequest(spec=spec, checkpoint=str(self.checkpoint), resume=resume)
        began = time.monotonic()
        outcome: Outcome | Suspended
        try:
            outcome = self._in_child(request, OUTCOME_OR_SUSPENDED, on_progress, suspend, seal)
        except SuspendFailed as e:
            wall_s = time.monotonic() - began if e.wall_s is None else e.wall_s
            outcome = suspended_at_last_checkpoint(e, earlier, wall_s)
        if isinstance(outcome, Measurement) and outcome.val_bytes != spec.span.bytes:
            detail = f"it scored {outcome.val_bytes} bytes, the span has {spec.span.bytes}"
            outcome = Failure(cause=Cause.GARBAGE, detail=detail, trial_wall_s=outcome.trial_wall_s)
        if not isinstance(outcome, Suspended):
            remove_checkpoint(self.checkpoint)
        return add_earlier_parts(outcome, earlier)

    def speed(self, cfg: Cfg, timing: Timing, on_progress: OnProgress) -> Speed | Failure:
        """The training speed of ``cfg``, measured in a process of its own. Raises ``Interrupted``."""
        return self._in_child(SpeedRequest(spec=self.spec(cfg, 0), timing=timing), SPEED, on_progress)

    def matmul_peak(self, cfg: Cfg) -> MatmulPeak | Failure:
        """The device's matmul peak in the precision of ``cfg``. Raises ``Interrupted``."""
        request = MatmulPeakRequest(spec=self.spec(cfg, 0), precision=str(cfg["precision"]))
        return self._in_child(request, PEAK, lambda *_: None)

    def _in_child(
        self,
        request: LimitedRequest,
        answers: TypeAdapter[T],
        on_progress: OnProgress,
        suspend: SuspendControl = NEVER_SUSPENDED,
        seal: Seal = not_sealed,
    ) -> T:
        limit = self.memory_limit(request.spec.cfg)
        spec = request.spec.model_copy(update={"memory_limit_bytes": limit})
        data_limit = limit if spec.device == "cpu" else None
        request = request.model_copy(update={"spec": spec, "data_limit_bytes": data_limit})
        began = time.monotonic()
        output, exit_code, peak = self.runner.run(request, on_progress, limit, self.deadline_s, suspend)
        self._keep_stderr(output)
        wall_s = time.monotonic() - began if output.wall_s is None else output.wall_s
        end = judge_end(output, exit_code, peak, wall_s, answers)
        if isinstance(end, Measurement) and (test_bpb := sealed_value(output)) is not None:
            seal(test_bpb)
        return end

    def memory_limit(self, cfg: Cfg) -> int:
        """Bytes that a trial may take now: all that is available except the reserve, at most the configured cap."""
        free = self.memory_for(cfg) if self.memory_for else spare_bytes()
        return free if self.memory_cap_bytes is None else min(free, self.memory_cap_bytes)

    def _keep_stderr(self, output: ChildOutput) -> None:
        """Write what the child printed to a file of its own, if it printed anything; best effort."""
        if not output.stderr:
            return
        with contextlib.suppress(OSError):
            with os.fdopen(open_append(self.logs / f"trial-{time.time_ns()}.stderr"), "ab") as file:
                file.write(output.stderr)
            with opened_directory(self.logs, own=True) as folder:
                ours = sorted(name for name in os.listdir(folder) if _STDERR_NAME.fullmatch(name))
                for old in ours[:-KEPT_STDERR_FILES]:
                    os.unlink(old, dir_fd=folder)
