"""Grade a run again without the model: a grade that is not the same as the latest becomes a new record."""

from __future__ import annotations

from dataclasses import dataclass

from autoresearch.benches.cases import CaseSet
from autoresearch.benches.engine import grade_trial
from autoresearch.benches.fold import grader_name
from autoresearch.benches.ports import Suite
from autoresearch.benches.records import Grade
from autoresearch.benches.run_directory import BenchDirectory
from autoresearch.core.text import escape_control, plural

SHOWN = 20
COMPARED = ("grader", "score", "correct", "answer", "detail")


@dataclass(frozen=True, slots=True)
class Change:
    """A trial whose score is another one now; ``None``: without a score."""

    case: str
    sample: int
    before: float | None
    after: float | None


@dataclass(frozen=True, slots=True)
class Regrading:
    """``written`` grades are new records; ``changed`` are those with another score; ``ungraded`` have none now.

    ``kept`` trials have the verdict of the program that they were imported from: they are not graded again.
    """

    grader: str
    trials: int
    written: int
    ungraded: int
    kept: int
    changed: tuple[Change, ...]


def regrade(directory: BenchDirectory, cases: CaseSet, suite: Suite) -> Regrading:
    """Grade every trial with the suite's grader of today. Raises ``JournalError``."""
    by_id = {case.id: case for case in cases.cases}
    name = grader_name(suite.grader)
    written, ungraded, kept, changed = 0, 0, 0, []
    trials = sorted(directory.fold.trials.values(), key=lambda graded: graded.seq)
    for graded in trials:
        old = graded.grades.get(name)
        new = grade_trial(suite, by_id[graded.trial.case], graded, directory.path)
        ungraded += new.score is None
        kept += new.grader != suite.grader
        if old is not None and _content(old) == _content(new):
            continue
        directory.append(new)
        written += 1
        before = old.score if old else None
        if old is None or before != new.score:
            changed.append(Change(graded.trial.case, graded.trial.sample, before, new.score))
    return Regrading(suite.grader, len(trials), written, ungraded, kept, tuple(changed))


def _content(grade: Grade) -> list[object]:
    return [getattr(grade, name) for name in COMPARED]


def describe_regrading(found: Regrading) -> str:
    """What changed, as text for a terminal."""
    graded = plural(found.trials - found.kept, "trial")
    lines = [
        f"{graded} graded by {found.grader}: {plural(found.written, 'new record')}, "
        f"{plural(len(found.changed), 'score')} changed"
    ]
    if found.kept:
        lines.append(f"{plural(found.kept, 'trial')} not graded again: the verdict of the program that made them stays")
    if found.ungraded:
        lines.append(f"{plural(found.ungraded, 'trial')} without a score (a judge decides, or the grader failed)")
    lines += [
        f"  {escape_control(c.case)}, sample {c.sample}: {_score(c.before)}, now {_score(c.after)}"
        for c in found.changed[:SHOWN]
    ]
    if len(found.changed) > SHOWN:
        lines.append(f"  and {len(found.changed) - SHOWN:,} more; --json has all")
    return "\n".join(lines)


def _score(score: float | None) -> str:
    return "ungraded" if score is None else f"{score:g}"
