"""Progress of a run for the user: a bar inside each trial on a terminal, one line per iteration everywhere."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from autoresearch.core import ports
from autoresearch.core.costs import cost_ratios, describe_compute
from autoresearch.core.llm_calls import LLM_SOURCE
from autoresearch.core.measurement import Failure, Suspended
from autoresearch.core.open_trials import REPEATED_ONCE
from autoresearch.core.ports import Observer
from autoresearch.core.records import (
    Baseline,
    Blocked,
    EvalFailed,
    Evaluated,
    Event,
    Evidence,
    IterationRecord,
    LoopComplete,
    Paused,
    Proposed,
    ProposerFailed,
    Resumed,
    SideTrial,
    SideTrialStarted,
    SideTrialSuspended,
    Started,
    Stopped,
    StoppedEarly,
    TrialEnded,
    TrialSuspended,
    Unsealed,
)
from autoresearch.core.text import escape_control
from autoresearch.core.trajectory import Trajectory
from autoresearch.core.trial_marks import deciding_marks, describe_disturbance
from autoresearch.daemon.run_text import describe_change, describe_continuation, describe_drain
from autoresearch.daemon.side_lines import side_subject, side_trial_line
from autoresearch.daemon.verdict_lines import (
    audited_line,
    baseline_line,
    baseline_trial_line,
    candidate_trial_line,
    judged_line,
    noise_lines,
    stopped_line,
)
from autoresearch.report.format import format_bpb
from autoresearch.report.vault import describe_gains


class TolerantStream:
    """A stream that ignores write errors, so that a closed terminal or a broken pipe does not end the run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # ValueError: it was closed, or cannot encode the text
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


class Terminal(Observer):
    """Prints to ``stream``; the bar is drawn only on a terminal, at the loop's own events, without a thread."""

    def __init__(
        self,
        iters: int,
        stream: TextIO = sys.stdout,
        *,
        after_pause: str = "`autoresearch resume` or removing the file continues the run",
        drain_max_s: float | None = None,
    ) -> None:
        """``after_pause`` says what ends a pause, ``drain_max_s`` how long a signal waits for the running trial."""
        self.iters = iters
        self.after_pause = after_pause
        self.drain_max_s = drain_max_s
        file = cast(TextIO, TolerantStream(stream))
        self._console = Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[speed]}", markup=False),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
            auto_refresh=False,
        )
        self._tasks: dict[int, TaskID] = {}  # by the number of the trial; 0 where there is one
        self._change = ""  # the change under trial
        self._stopping = ""
        self._waits = False
        self._trajectory: Trajectory | None = None

    def opened(self, trajectory: Trajectory) -> None:
        """Print nothing: earlier iterations are not repeated, and ``started`` shows what continues."""
        self._trajectory = trajectory

    def heartbeat(self, stop_reason: str) -> None:
        if stop_reason and not self._stopping:
            drain = describe_drain(stop_reason, self.drain_max_s)
            self._print(f"{stop_reason}: stopping; a running trial {drain}")
        self._stopping = stop_reason

    def notify(self, message: str) -> None:
        self._print(message)

    def waiting(self, reason: str) -> None:
        """Print when a wait begins: its numbers change each second. ``resumed`` says how long it was."""
        if reason and not self._waits:
            self._print(f"{reason}; it continues by itself")
        self._waits = bool(reason)

    def preparing(self, stage: str, fraction: float) -> None:
        self._draw(escape_control(stage), fraction, "")
        if fraction >= 1:
            self._clear()

    def done(self) -> None:
        """Remove the bar."""
        self._clear()

    def progressed(self, progress: ports.Progress) -> None:
        speed = f"{progress.tokens_per_s:,.0f} tokens/s" if progress.tokens_per_s else ""
        subject = f"seed {progress.seed}" if progress.trial else self._subject(progress.iter)
        words = (progress.where, self._number(progress.iter), subject, progress.phase)
        self._draw(escape_control("  ".join(w for w in words if w)), progress.fraction, speed, progress.trial)

    def recorded(self, event: Event) -> None:
        match event:
            case Started(proposer=proposer, torn_bytes=torn):
                repaired = (
                    f"; {torn} torn bytes at the end of the trajectory were cut off and saved beside it" if torn else ""
                )
                self._print(f"proposer {proposer}, {self.iters} iterations{repaired}")
                if continued := describe_continuation(self._trajectory or Trajectory(), self.iters):
                    self._change = describe_change(self._trajectory or Trajectory())
                    self._print(continued)
            case Proposed(proposal=p):
                self._change = p.text
            case Baseline():
                trajectory = self._trajectory or Trajectory()
                self._print(baseline_line(event, self._trajectory))
                if marks := deciding_marks(trajectory.baseline_outcomes, trajectory.meta):
                    self._print(f"the baseline ran {' and '.join(marks)}: every verdict against it carries that mark")
                for line in noise_lines(trajectory):
                    self._print(line)
            case _ if isinstance(event, IterationRecord):
                self._print(iteration_line(event, self._number(event.iter)) + self._qualify(event))
            case Unsealed():
                self._print(f"{'vault':>8}  {describe_gains(event)}")
            case TrialSuspended(suspended=where) | SideTrialSuspended(suspended=where):
                self._print(suspended_line(where))
            case TrialEnded(void=True):
                self._print(void_line(event))
            case TrialEnded():
                if line := self._trial_line(event):
                    self._print(line)
                if event.would_stop:
                    self._print(audited_line(event.would_stop))
            case SideTrialStarted():
                self._change = side_subject(event)
            case SideTrial():
                self._print(side_trial_line(event))
            case Paused(waits_for="disk_space"):
                pass  # ``waiting`` has shown it
            case Paused(reason=reason):
                self._print(f"paused: {reason}; {self.after_pause}")
            case Resumed(paused_s=paused_s):
                self._print(f"resumed after {paused_s:.0f} s")
            case Stopped(reason=reason):
                self._print(f"stopped: {reason}")
            case LoopComplete():
                self._print("complete")

    def _trial_line(self, trial: TrialEnded) -> str:
        """A line about a trial whose iteration goes on, or one of several; empty where the next record says it all."""
        run = self._trajectory or Trajectory()
        if trial.iter:
            return candidate_trial_line(trial, run, self._number(trial.iter))
        return baseline_trial_line(trial, run)

    def _subject(self, n: int) -> str:
        """What is on trial: a change, or the baseline with one more seed for a change."""
        if n == 0 and self._trajectory and self._trajectory.proposed:
            return f"with another seed, for {self._change}"
        return self._change if n else ""

    def _qualify(self, event: IterationRecord) -> str:
        """That a keep did not compute the same as the baseline, or that either was disturbed."""
        baseline = self._trajectory.baseline if self._trajectory else None
        if baseline is None or not isinstance(event, Evaluated) or event.decision != "keep":
            return ""
        more = describe_compute(cost_ratios([event.eval_metrics], [baseline.eval_metrics]))
        disturbed = describe_disturbance(event.marks, event.baseline_marks)
        return "".join(f"  {note}" for note in (more, disturbed) if note)

    def _number(self, n: int) -> str:
        return f"{n:>3}/{self.iters:<4}" if n else "baseline"

    def _draw(self, description: str, fraction: float, speed: str, trial: int = 0) -> None:
        """Update the bar of a trial; each of several has its own, until the next line is printed."""
        if not self._console.is_terminal:
            return
        if trial not in self._tasks:
            self._tasks[trial] = self._bar.add_task(description, total=1.0, speed="")
            self._bar.start()
        self._bar.update(self._tasks[trial], description=description, completed=fraction, speed=speed, refresh=True)

    def _clear(self) -> None:
        if self._tasks:
            self._bar.stop()
            for task in self._tasks.values():
                self._bar.remove_task(task)
            self._tasks.clear()

    def _print(self, line: str) -> None:
        self._clear()
        self._console.print(escape_control(line))


def suspended_line(where: Suspended) -> str:
    """Where the running trial was suspended, and how it will continue."""
    if where.resumes_at == where.step:
        return f"the running trial is suspended after step {where.step}"
    again = "starts over" if where.resumes_at is None else f"continues from step {where.resumes_at}"
    return f"the running trial is ended in step {where.step} and later {again}: {where.problem}"


def void_line(trial: TrialEnded) -> str:
    """Why a trial does not count."""
    if trial.marks:
        return f"trial {trial.trial} ran {' and '.join(trial.marks)}: it is repeated"
    if isinstance(trial.outcome, Failure) and trial.outcome.cause in REPEATED_ONCE:
        return f"trial {trial.trial} is void: {trial.outcome.detail}; it is repeated once"
    return f"trial {trial.trial} is void: an input has changed"


def iteration_line(record: IterationRecord, number: str) -> str:
    """One closed iteration on one line."""
    source = _source_suffix(record)
    match record:
        case Evaluated(evidence=Evidence()):
            return f"{judged_line(record, number)}{source}"
        case Evaluated(proposal=p, improvement_frac=gain, decision=decision):
            change = p.text
            end = f"{record.iter_wall_s:6.1f} s{source}"
            return f"{number:>8}  {change:<28} {format_bpb(record.value)} {100 * gain:+7.2f} %  {decision:<6} {end}"
        case StoppedEarly(proposal=p):
            return f"{stopped_line(record, p.text, number)}{source}"
        case EvalFailed(proposal=p, cause=cause):
            return f"{number:>8}  {p.text:<28} failed: {cause} ({record.reason}){source}"
        case Blocked(rail=rail):
            return f"{number:>8}  blocked after {len(record.attempts)} attempts by {rail}: {record.reason}"
        case ProposerFailed():
            return f"{number:>8}  the proposer failed: {record.reason}"


def _source_suffix(record: IterationRecord) -> str:
    """The source of a change where an LLM was called; where it is another one, also how the last call ended."""
    if not record.llm_calls:
        return ""
    is_llms = record.source == LLM_SOURCE
    return f"  {record.source}" if is_llms else f"  {record.source} (LLM: {record.llm_calls[-1].classification})"
