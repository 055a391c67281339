"""A trial of trainer ``command``: one run of the user's own training script, then of its check."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autoresearch.config.command import CommandSettings
from autoresearch.core.measurement import Cause, Failure, Measurement, Outcome, Suspended
from autoresearch.core.ports import NEVER_SUSPENDED, OnProgress, Seal, SuspendControl, not_sealed
from autoresearch.core.values import Cfg
from autoresearch.machine import spare_bytes
from autoresearch.storage.files import open_append, opened_directory
from autoresearch.trials.command.child import CannotStart, Ended, Supervision, run_command
from autoresearch.trials.command.ending import Conditions, check_failure, judge
from autoresearch.trials.command.handover import Handover, HandoverError, hand_over
from autoresearch.trials.command.process_tree import kill_marked
from autoresearch.trials.command.returned import Reader, mark_of
from autoresearch.trials.pace import Pace
from autoresearch.verdicts.stop_limits import Limits

KEPT_LOGS = 100  # of each stream, of trials and of their checks
TRIAL_FOLDER = "trial"
_LOG_NAME = re.compile(r"(trial|check)-\d+\.(stdout|stderr)")


@dataclass(slots=True)
class CommandTrial:
    """The ``Trial`` port over a command. It cannot be suspended: a pause or a stop waits for its end.

    ``folder`` is for the files of the running trial and is emptied before each; ``token`` is in the environment of
    every process that a trial starts, so that all are found.
    """

    settings: CommandSettings
    budget: float
    folder: Path
    logs: Path
    token: str
    device: str
    deadline_s: float
    environ: Mapping[str, str]
    aborted: Callable[[], bool]
    notify: Callable[[str], None] = lambda _text: None
    memory_cap_bytes: int | None = None

    def measure(
        self,
        cfg: Cfg,
        seed: int,
        on_progress: OnProgress,
        suspend: SuspendControl = NEVER_SUSPENDED,
        seal: Seal = not_sealed,
        limits: Limits = (),
    ) -> Outcome | Suspended:
        """See ``ports.Trial``. It seals nothing and has no loss curve, so that no limit ends it early."""
        began = time.monotonic()
        with self.empty_folder() as folder:
            try:
                handover = hand_over(self.settings, cfg, seed, self.budget, folder, self.environ)
            except HandoverError as e:
                return Failure(cause=Cause.ERROR, detail=f"the configuration cannot be handed over: {e}")
            on_progress("train", 0.0, 0, None)
            try:
                return self._measure(handover, folder, on_progress, began)
            except CannotStart as e:
                return Failure(cause=Cause.ERROR, detail=str(e), trial_wall_s=time.monotonic() - began)

    def kill_leftovers(self) -> int:
        """Kill what trials of an earlier daemon of this run left, which was killed; how many processes there were."""
        return kill_marked(self.token)

    def _measure(
        self, handover: Handover, folder: Path, on_progress: OnProgress, began: float
    ) -> Measurement | Failure:
        pace = Pace()

        def progressed(fraction: float, step: int) -> None:
            pace.note("train", fraction, time.monotonic())
            on_progress("train", fraction, step, None)

        reader = Reader(self.settings, progressed, self.budget)
        file = self._metric_file(folder)
        before = mark_of(file) if file else None
        ended = self._run(handover.argv, handover, reader.feed, pace)
        self._keep_logs(ended, "trial")
        errors = ended.stderr.kept.decode(errors="replace")
        where = Conditions(self.device, trial_wall_s=time.monotonic() - began)
        outcome = judge(self.settings, ended, reader.result(file, before, errors), where)
        if isinstance(outcome, Failure) or not self.settings.checks:
            return outcome
        return self._checked(outcome, handover, on_progress, began)

    def _checked(
        self, measured: Measurement, handover: Handover, on_progress: OnProgress, began: float
    ) -> Measurement | Failure:
        """The measurement, if the user's check passes."""
        on_progress("validate", 1.0, measured.train_steps or 0, None)
        words = tuple(word.replace("{trial}", str(self.folder / TRIAL_FOLDER)) for word in self.settings.checks or ())
        ended = self._run(words, handover, lambda _data: None, Pace())
        self._keep_logs(ended, "check")
        wall_s = time.monotonic() - began
        if failure := check_failure(ended):
            facts = {"exit_code": ended.exit_code, "stderr_tail": ended.stderr.end[-2000:], "trial_wall_s": wall_s}
            return failure.model_copy(update={**facts, "train_wall_s": measured.train_wall_s})
        return measured.model_copy(update={"val_wall_s": ended.wall_s, "trial_wall_s": wall_s})

    def _run(self, argv: tuple[str, ...], handover: Handover, on_stdout: Callable[[bytes], None], pace: Pace) -> Ended:
        limits = Supervision(self.deadline_s, self.memory_limit(), self.aborted)
        marker = f"{self.token}{time.monotonic_ns()}"
        cwd = Path(os.path.abspath(self.settings.cwd))
        ended = run_command(argv, handover.env, cwd, marker, limits, on_stdout, pace)
        if ended.leftover:
            self.notify(f"{argv[0]} left {ended.leftover} processes behind when it ended; they were killed")
        return ended

    def memory_limit(self) -> int:
        """Bytes that a trial may take now: all that is available except the reserve, at most the configured cap."""
        free = spare_bytes()
        return free if self.memory_cap_bytes is None else min(free, self.memory_cap_bytes)

    def _metric_file(self, folder: Path) -> Path | None:
        name = self.settings.metric_file
        return Path(os.path.abspath(self.settings.cwd / name.replace("{trial}", str(folder)))) if name else None

    @contextlib.contextmanager
    def empty_folder(self) -> Iterator[Path]:
        """The folder of the trial, empty; removed at the end."""
        folder = (self.folder / TRIAL_FOLDER).absolute()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _keep_logs(self, ended: Ended, what: Literal["trial", "check"]) -> None:
        """Write what the command or its check printed to files, bounded in size and number; best effort."""
        stamp = time.time_ns()
        for name, stream in (("stdout", ended.stdout), ("stderr", ended.stderr)):
            if not stream.size:
                continue
            with contextlib.suppress(OSError):
                with os.fdopen(open_append(self.logs / f"{what}-{stamp}.{name}"), "ab") as file:
                    file.write(stream.kept)
                with opened_directory(self.logs, own=True) as folder:
                    every = [found for n in os.listdir(folder) if (found := _LOG_NAME.fullmatch(n))]
                    ours = sorted(found[0] for found in every if found.groups() == (what, name))
                    for old in ours[:-KEPT_LOGS]:
                        os.unlink(old, dir_fd=folder)
