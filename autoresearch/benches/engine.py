"""Makes the attempts of a bench run that are not recorded yet, records them, and grades them.

N threads make attempts; the main thread alone appends and grades (math_verify works in the main thread only). Every
state is in the journal: after a kill at any point the same call goes on, and the analysis is the same.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from autoresearch.benches import attempt_folder
from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.energy import AttemptEnergy
from autoresearch.benches.fold import Pair, grader_name
from autoresearch.benches.patience import INTERNAL_ERROR, Patience
from autoresearch.benches.ports import Bench, BenchRun, Graded, Infrastructure, RunChat, Suite, WrongModel
from autoresearch.benches.records import BenchTrial, Ended, Grade, Unavailable, decode_bench_record
from autoresearch.benches.run_directory import BenchDirectory
from autoresearch.benches.trial_record import record_attempt
from autoresearch.benches.workers import Workers
from autoresearch.core.ports import Interrupted, Meter, NullMeter
from autoresearch.core.records import encode
from autoresearch.core.text import describe_error, plural
from autoresearch.errors import YardstickMismatch
from autoresearch.machine import utc

POLL_S = 0.1  # between two looks at signals and the meter
MAX_DETAIL_CHARS = 1000

Reason = Literal["complete", "stopped", "incomplete"]


class Control(Protocol):
    """When to stop; ``daemon.control.RunControl`` is one."""

    @property
    def aborted(self) -> bool:
        """Stop at once: what is under way is not recorded."""
        ...

    def stop_reason(self) -> str:
        """Why no further attempt is to be made; empty to continue."""
        ...

    def wait(self, seconds: float) -> None:
        """Block for that long, or until a stop is requested."""
        ...


class BenchObserver:
    """What a user may see of a run. The methods here do nothing."""

    def planned(self, done: int, planned: int) -> None:
        """So many of the planned attempts are recorded; called again after each."""

    def heartbeat(self) -> None:
        """Called ten times a second while attempts are under way."""

    def recorded(self, trial: BenchTrial, grade: Grade) -> None:
        """An attempt has its record and its grade."""

    def unavailable(self, record: Unavailable) -> None:
        """An attempt has no result because of the infrastructure."""

    def waiting(self, seconds: float, why: str) -> None:
        """The server is not asked for so long."""

    def stopping(self, reason: str, under_way: int) -> None:
        """A stop was requested."""

    def notify(self, message: str) -> None:
        """Something else worth a line."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a thread made of one attempt; ``None``: interrupted."""

    pair: Pair
    result: BenchTrial | Infrastructure | None


@dataclass(slots=True)
class Engine:
    """Runs one bench run in an open directory whose first record is written. ``open_chat`` is called in each thread."""

    suite: Suite
    cases: CaseSet
    directory: BenchDirectory
    control: Control
    open_chat: Callable[[Callable[[], bool], Callable[[str], None]], RunChat | None] = lambda _stopped, _notify: None
    parallel: int = 1
    observer: BenchObserver = field(default_factory=BenchObserver)
    meter: Meter = field(default_factory=NullMeter)
    patience: Patience = field(default_factory=Patience)
    utc: Callable[[], str] = utc
    _messages: deque[str] = field(default_factory=deque)  # of the threads
    _by_id: dict[str, Case] = field(init=False)
    _wrong_model: str = ""
    _stop_seen: bool = False

    def __post_init__(self) -> None:
        self._by_id = {case.id: case for case in self.cases.cases}

    def run(self) -> Ended:
        """Grade what is not graded yet, make what is missing; returns the record of the end.

        Raises ``YardstickMismatch`` where the server has another model now, and ``JournalError``.
        """
        began = time.monotonic()
        self._grade_missing()
        ready = deque(self._missing())
        self._show_progress()
        if not ready:
            return Ended(ts=self.utc(), reason="complete", detail="", wall_s=0.0)
        energy = AttemptEnergy(self.meter, self.parallel == 1)
        workers = Workers(min(self.parallel, len(ready)), self._attempt, partial(self.open_chat, *self._callbacks()))
        try:
            self._drive(ready, workers, energy)
        finally:
            workers.close()
            energy.close()
        ended = self._ended(time.monotonic() - began, energy)
        self.directory.append(ended)
        if self._wrong_model:
            hint = "start the server with the run's model again, or choose another --dir for the other model"
            raise YardstickMismatch(self._wrong_model, hint=hint)
        return ended

    @property
    def _run(self) -> BenchRun:
        return self.directory.fold.run(self.directory.path, self.cases)

    def _show_progress(self) -> None:
        meta = self.directory.fold.meta
        assert meta is not None
        self.observer.planned(len(self.directory.fold.trials), len(self.cases.cases) * meta.samples)

    def _missing(self) -> list[Pair]:
        """The first sample of every case before the second of any: a run that is cut short has all cases."""
        return sorted(self._run.missing, key=lambda pair: pair[1])

    def _drive(self, ready: deque[Pair], workers: Workers[Pair, Outcome], energy: AttemptEnergy) -> None:
        """Until every attempt has its record, or none is to be made any more and those under way have ended."""
        while not self.control.aborted:
            self._forward_messages()
            self._note_stop(workers.busy)
            may_start = not (self.control.stop_reason() or self.patience.over or self._wrong_model)
            cooldown_s = self.patience.remaining_cooldown_s()
            if may_start and not cooldown_s:
                limit = 1 if self.patience.is_failing else self.parallel
                while ready and workers.idle and workers.busy < limit:
                    energy.began()
                    workers.start(ready.popleft())
            if workers.busy:
                if (outcome := workers.result(POLL_S)) is not None:
                    self._handle(outcome, energy.ended(), ready)
                self.meter.poll()
                self.observer.heartbeat()
            elif may_start and ready:
                self.observer.waiting(cooldown_s, "the server failed several times in a row")
                self.control.wait(cooldown_s)
            else:
                break
        self._forward_messages()

    def _callbacks(self) -> tuple[Callable[[], bool], Callable[[str], None]]:
        return (lambda: self.control.aborted), self._messages.append

    def _forward_messages(self) -> None:
        while self._messages:
            self.observer.notify(self._messages.popleft())

    def _note_stop(self, under_way: int) -> None:
        if not self._stop_seen and (reason := self.control.stop_reason()):
            self._stop_seen = True
            self.observer.stopping(reason, under_way)

    def _attempt(self, pair: Pair, chat: RunChat | None) -> Outcome:
        """One attempt, in a thread. Raises ``JournalError`` only."""
        case, sample = self._by_id[pair[0]], pair[1]
        folder = attempt_folder.attempt_folder(self.directory.path, *pair)
        attempt_folder.make_fresh(folder)
        meta = self.directory.fold.meta
        assert meta is not None
        bench = Bench(chat, folder, meta.limits, meta.options, lambda: self.control.aborted)
        began = time.monotonic()
        result: BenchTrial | Infrastructure | None
        try:
            if chat is not None:
                chat.begin(sample)
            attempt = self.suite.attempt(case, sample, bench)
            result = record_attempt(*pair, attempt, self.utc(), time.monotonic() - began)
        except Interrupted:
            result = None
        except Infrastructure as e:
            result = e
        except Exception as e:  # an error of our own: neither the model's nor the server's
            result = Infrastructure(INTERNAL_ERROR, _describe(e))
        attempt_folder.settle(folder)
        return Outcome(pair, result)

    def _handle(self, outcome: Outcome, energy_j: float | None, ready: deque[Pair]) -> None:
        """Record what a thread made of an attempt, in the main thread."""
        match outcome.result:
            case None:
                return
            case BenchTrial() as trial:
                self.patience.succeeded(outcome.pair)
                trial = trial.model_copy(update={"energy_j": energy_j})
                self.directory.append(trial)
                self.observer.recorded(trial, self._grade(outcome.pair))
                self._show_progress()
            case Infrastructure() as e:
                detail = e.detail[:MAX_DETAIL_CHARS]
                case, sample = outcome.pair
                record = Unavailable(ts=self.utc(), case=case, sample=sample, cause=e.cause, detail=detail)
                self.directory.append(record)
                self.observer.unavailable(record)
                if isinstance(e, WrongModel):
                    self._wrong_model = e.detail
                elif self.patience.failed(outcome.pair, e.cause, detail, e.retry_after_s):
                    ready.append(outcome.pair)

    def _grade_missing(self) -> None:
        """Grade what a kill left ungraded, and what another version of the grader graded."""
        for pair, graded in list(self.directory.fold.trials.items()):
            if self.control.aborted:
                return
            latest = graded.grades.get(grader_name(self.suite.grader))
            if latest is None or latest.grader != self.suite.grader:
                self._grade(pair)

    def _grade(self, pair: Pair) -> Grade:
        graded = self.directory.fold.trials[pair]
        grade = grade_trial(self.suite, self._by_id[pair[0]], graded, self.directory.path)
        self.directory.append(grade)
        return grade

    def _ended(self, wall_s: float, energy: AttemptEnergy) -> Ended:
        missing = len(self._run.missing)
        reason: Reason = "complete"
        detail = ""
        if missing:
            stop = self.control.stop_reason()
            is_stopped = bool(stop) and not (self.patience.over or self._wrong_model)
            reason = "stopped" if is_stopped else "incomplete"
            why = stop if is_stopped else self._wrong_model or self.patience.over or self._causes()
            detail = f"{plural(missing, 'planned attempt')} missing ({why})"
        return Ended(ts=self.utc(), reason=reason, detail=detail, wall_s=wall_s, power=energy.total)

    def _causes(self) -> str:
        """Why the missing attempts have no result, the most frequent cause first."""
        causes = Counter(record.cause for record in self.directory.fold.last_failure.values())
        return ", ".join(f"{cause} {count}" for cause, count in causes.most_common())


def grade_trial(suite: Suite, case: Case, graded: Graded, run_dir: Path) -> Grade:
    """The suite's grade of a trial; an error of the grader is a grade without a score, with the error as its detail."""
    trial = graded.trial
    folder = attempt_folder.attempt_folder(run_dir, trial.case, trial.sample)
    try:
        grade = suite.grade(case, trial, folder).model_copy(update={"trial": graded.seq})
        decode_bench_record(encode(grade))  # what cannot be read back must not be written
    except Exception as e:
        detail: Mapping[str, Any] = {"error": _describe(e)}
        return Grade(ts=utc(), trial=graded.seq, grader=suite.grader, score=None, correct=None, detail=dict(detail))
    return grade


def _describe(error: Exception) -> str:
    """Type, message and place of an error of our own code."""
    place = ""
    with suppress(Exception):
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        if trace is not None:
            place = f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"
    return f"{describe_error(error, MAX_DETAIL_CHARS - 100)}{place}"
