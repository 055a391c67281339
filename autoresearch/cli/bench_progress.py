"""Progress of a bench run: a bar with the time that is left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import TextIO, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from autoresearch.benches.engine import BenchObserver
from autoresearch.benches.records import BenchTrial, Grade, Unavailable
from autoresearch.core.text import escape_control
from autoresearch.daemon.observers.terminal import TolerantStream

LINE_EVERY_S = 30.0  # without a terminal
REFRESH_EVERY_S = 1.0  # of the bar
MAX_SHOWN_FAILURES = 20  # of one start; the others are counted


class BenchProgress(BenchObserver):
    """Prints to ``stream``. The time left is that of the attempts so far, for those that are missing."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        file = cast(TextIO, TolerantStream(stream))
        self._console = Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            auto_refresh=False,
        )
        self._task: TaskID | None = None
        self._clock = clock
        self._began = clock()
        self._last_line = self._last_refresh = float("-inf")
        self._first_done: int | None = None
        self._correct: Counter[bool | None] = Counter()
        self._failures = 0

    def planned(self, done: int, planned: int) -> None:
        if self._first_done is None:
            self._first_done, self._began = done, self._clock()
        left = self._time_left(done, planned)
        if self._console.is_terminal:
            if self._task is None and done < planned:
                self._task = self._bar.add_task("attempts", total=planned, left="")
                self._bar.start()
            if self._task is not None:
                self._bar.update(self._task, completed=done, left=f"{self._counts()}  {left}")
                self._bar.refresh()
        elif done == planned or self._clock() - self._last_line >= LINE_EVERY_S:
            self._last_line = self._clock()
            parts = (f"{done} of {planned} attempts", self._counts(), left)
            self._print(", ".join(part for part in parts if part))

    def heartbeat(self) -> None:
        """Let the bar's clock go on."""
        if self._task is not None and self._clock() - self._last_refresh >= REFRESH_EVERY_S:
            self._last_refresh = self._clock()
            self._bar.refresh()

    def recorded(self, trial: BenchTrial, grade: Grade) -> None:
        self._correct[grade.correct] += 1
        if grade.score is None and "error" in grade.detail:
            self._print(f"{trial.case}, sample {trial.sample}: the grader failed: {grade.detail['error']}")

    def unavailable(self, record: Unavailable) -> None:
        self._failures += 1
        if self._failures <= MAX_SHOWN_FAILURES:
            self._print(f"{record.case}, sample {record.sample}: {record.cause}: {record.detail[:200]}")
        elif self._failures == MAX_SHOWN_FAILURES + 1:
            self._print("further failures are in trials.jsonl only")

    def waiting(self, seconds: float, why: str) -> None:
        if seconds > 0:
            self._print(f"{why}: it is asked again in {seconds:.0f} s")

    def stopping(self, reason: str, under_way: int) -> None:
        waits = f"{under_way} under way are finished first; a second Ctrl-C stops at once" if under_way else "at once"
        self._print(f"{reason}: stopping, {waits}")

    def notify(self, message: str) -> None:
        self._print(message)

    def done(self) -> None:
        """Remove the bar."""
        if self._task is not None:
            self._bar.stop()
            self._bar.remove_task(self._task)
            self._task = None

    def _counts(self) -> str:
        """How the attempts of this start were graded."""
        words = {True: "correct", False: "wrong", None: "without a verdict"}
        if not (self._correct[True] or self._correct[False]):
            return ""  # a suite that gives scores and no verdicts
        return ", ".join(f"{self._correct[value]} {word}" for value, word in words.items() if self._correct[value])

    def _time_left(self, done: int, planned: int) -> str:
        made = done - (self._first_done or 0)
        if made <= 0 or done >= planned:
            return ""
        left_s = (self._clock() - self._began) / made * (planned - done)
        minutes, seconds = divmod(round(left_s), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02} left" if hours else f"{minutes}:{seconds:02} left"

    def _print(self, line: str) -> None:
        if self._task is not None:
            self._bar.stop()
        self._console.print(escape_control(line))
        if self._task is not None:
            self._bar.start()
