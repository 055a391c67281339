"""A model grades the trials of a run: the requests in threads, the grades from one thread, each durable at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.conditions import sha256_of_text
from autoresearch.benches.judgement import JUDGE, PROMPT_TEXT, VERSION, judge_messages, parse_judgement
from autoresearch.benches.ports import ContextOverflow, Graded, Infrastructure, RunChat
from autoresearch.benches.records import Grade
from autoresearch.benches.run_directory import BenchDirectory
from autoresearch.benches.workers import Workers
from autoresearch.core.ports import Interrupted
from autoresearch.core.text import plural
from autoresearch.errors import ConfigError
from autoresearch.machine import utc

POLL_S = 0.1
MAX_REPLY_CHARS = 4000  # that are kept
MAX_FAILED = 5  # requests in a row that the server failed, after the retries of each
GRADER = f"{JUDGE}@{VERSION}"
Reply = str | Infrastructure | ContextOverflow | None  # ``None``: interrupted


@dataclass(slots=True)
class Judging:
    """What was done: counts of grades. ``failed`` trials got none, and the same command asks for them again."""

    planned: int = 0
    correct: int = 0
    wrong: int = 0
    scored: int = 0  # by a rubric, with a score from 0 to 1
    ungraded: int = 0  # the judge's reply did not follow the form
    not_asked: int = 0  # trials without an answer: wrong without asking
    skipped: int = 0  # without an expected answer and without a rubric
    kept: int = 0  # graded by this judge before
    failed: int = 0
    why: str = ""  # the last failure of the server

    @property
    def done(self) -> int:
        return self.correct + self.wrong + self.scored + self.ungraded + self.not_asked


@dataclass(slots=True)
class Judge:
    """A model as a judge. ``open_chat`` is called in each thread; ``stopped`` ends it between two grades."""

    model: str
    open_chat: Callable[[], RunChat | None]
    stopped: Callable[[], bool]
    parallel: int = 1
    again: bool = False
    progress: Callable[[int, int], None] = lambda _done, _planned: None
    utc: Callable[[], str] = utc
    counts: Judging = field(default_factory=Judging)

    def grade(self, directory: BenchDirectory, cases: CaseSet) -> Judging:
        """Grade every trial that this judge has not graded. Raises ``ConfigError`` for grades of another judge."""
        by_id = {case.id: case for case in cases.cases}
        ready = deque(self._asked(directory, by_id))
        self.counts.planned = len(ready)
        workers = Workers(min(self.parallel, max(1, len(ready))), self._ask, self.open_chat)
        failed_in_a_row = 0
        try:
            while ready or workers.busy:
                while ready and workers.idle and not self.stopped() and failed_in_a_row < MAX_FAILED:
                    graded = ready.popleft()
                    workers.start((by_id[graded.trial.case], graded))
                if not workers.busy:
                    break
                if (result := workers.result(POLL_S)) is None:
                    continue
                graded, reply = result
                if isinstance(reply, Infrastructure) or reply is None:
                    failed_in_a_row += 1
                    self.counts.failed += 1
                    self.counts.why = str(reply or "interrupted")
                    continue
                failed_in_a_row = 0
                directory.append(self._grade(graded, reply))
                self.progress(self.counts.done, self.counts.planned)
        finally:
            workers.close()
        self.counts.failed += len(ready)
        return self.counts

    def _asked(self, directory: BenchDirectory, by_id: dict[str, Case]) -> Iterator[Graded]:
        """The trials to ask about; those that need no question are graded here."""
        for graded in list(directory.fold.trials.values()):
            old = graded.grades.get(JUDGE)
            if old is not None and not self.again:
                if old.grader != GRADER or old.detail.get("model") != self.model:
                    what = f"this run has grades of another judge ({old.detail.get('model') or old.grader})"
                    raise ConfigError(what, hint="--again replaces them; the old records stay in trials.jsonl")
                self.counts.kept += 1
            elif judge_messages(by_id[graded.trial.case], graded.trial) is None:
                self.counts.skipped += 1
            elif not graded.trial.answer:
                self.counts.not_asked += 1
                detail = {"model": self.model, "reply": None, "why": "the trial has no answer"}
                record = Grade(ts=self.utc(), trial=graded.seq, grader=GRADER, score=0.0, correct=False, detail=detail)
                directory.append(record)
            else:
                yield graded

    def _ask(self, task: tuple[Case, Graded], chat: RunChat | None) -> tuple[Graded, Reply]:
        """The judge's reply, in a thread."""
        case, graded = task
        messages = judge_messages(case, graded.trial)
        assert chat is not None
        assert messages is not None
        try:
            chat.begin(0)
            return graded, chat.complete(messages).text
        except (Infrastructure, ContextOverflow) as e:
            return graded, e
        except Interrupted:
            return graded, None

    def _grade(self, graded: Graded, reply: str | ContextOverflow) -> Grade:
        """The record of a reply; one that does not follow the form is a grade without a score."""
        found = parse_judgement(reply) if isinstance(reply, str) else None
        if found is None:
            self.counts.ungraded += 1
        elif found.correct is None:
            self.counts.scored += 1
        elif found.correct:
            self.counts.correct += 1
        else:
            self.counts.wrong += 1
        detail = {
            "model": self.model,
            "prompt_sha256": sha256_of_text(PROMPT_TEXT),
            "reply": str(reply)[-MAX_REPLY_CHARS:],
        }
        return Grade(
            ts=self.utc(),
            trial=graded.seq,
            grader=GRADER,
            score=found.score if found else None,
            correct=found.correct if found else None,
            detail=detail,
        )


def describe_judging(c: Judging) -> str:
    """What the judge did, in one line each."""
    lines = [f"judged {plural(c.done, 'trial')}: {c.correct:,} correct, {c.wrong:,} wrong"]
    if c.scored:
        lines.append(f"{plural(c.scored, 'trial')} scored by a rubric")
    if c.not_asked:
        lines.append(f"{plural(c.not_asked, 'trial')} without an answer: wrong, not asked")
    if c.ungraded:
        lines.append(f"{plural(c.ungraded, 'reply').replace('replys', 'replies')} did not follow the form: ungraded")
    if c.skipped:
        lines.append(f"{plural(c.skipped, 'trial')} with neither an expected answer nor a rubric: skipped")
    if c.kept:
        lines.append(f"{plural(c.kept, 'trial')} graded by this judge before: kept")
    if c.failed:
        lines.append(f"{plural(c.failed, 'trial')} not judged: {c.why or 'stopped'}")
    return "\n".join(lines)
