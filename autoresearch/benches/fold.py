"""The records of a bench run, added up one by one: its trials with their grades, and how its starts ended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from autoresearch.benches.cases import CaseSet
from autoresearch.benches.ports import BenchRun, Graded
from autoresearch.benches.records import (
    BENCH_SCHEMA_VERSION,
    BenchMeta,
    BenchRecord,
    BenchTrial,
    Ended,
    Grade,
    Unavailable,
)
from autoresearch.errors import JournalDamaged

Pair = tuple[str, int]  # case and sample


def grader_name(grader: str) -> str:
    """The name of a grader without its version."""
    return grader.partition("@")[0]


@dataclass(slots=True)
class Fold:
    """The state after the records so far; ``add`` raises ``JournalDamaged`` for one that cannot follow them."""

    meta: BenchMeta | None = None
    pairs: dict[int, Pair] = field(default_factory=dict)  # by the trial's seq
    trials: dict[Pair, Graded] = field(default_factory=dict)
    unavailable: Counter[str] = field(default_factory=Counter)  # by cause, of every start
    last_failure: dict[Pair, Unavailable] = field(default_factory=dict)  # of attempts that are missing
    ends: list[Ended] = field(default_factory=list)

    def add(self, seq: int, record: BenchRecord) -> None:
        """Add the record with this number."""
        if isinstance(record, BenchMeta):
            self._add_meta(record)
        elif self.meta is None:
            raise JournalDamaged("the first record is not a meta record", hint="name the directory of a bench run")
        elif isinstance(record, BenchTrial):
            self._add_trial(seq, record)
        elif isinstance(record, Grade):
            self._add_grade(record)
        elif isinstance(record, Ended):
            self.ends.append(record)
        else:
            self.unavailable[record.cause] += 1
            if (pair := (record.case, record.sample)) not in self.trials:
                self.last_failure[pair] = record

    def run(self, path: Path, cases: CaseSet) -> BenchRun:
        """The run as it stands, for an analysis. Raises ``JournalDamaged`` for a trial that was not planned."""
        assert self.meta is not None
        known = {case.id for case in cases.cases}
        for (case, sample), graded in self.trials.items():
            if case not in known or not 0 <= sample < self.meta.samples:
                what = f"line {graded.seq + 1} is of case {case!r}, sample {sample}, which was not planned"
                raise JournalDamaged(f"{path}: {what}", hint="restore trials.jsonl and cases.jsonl from a copy")
        return BenchRun(path, self.meta, cases, dict(self.trials), tuple(self.ends), dict(self.last_failure))

    def _add_meta(self, meta: BenchMeta) -> None:
        if meta.schema_version > BENCH_SCHEMA_VERSION:
            what = f"schema_version {meta.schema_version} is newer than {BENCH_SCHEMA_VERSION}"
            raise JournalDamaged(what, hint="read this run with the autoresearch that wrote it, or a newer one")
        self.meta = meta

    def _add_trial(self, seq: int, trial: BenchTrial) -> None:
        pair = (trial.case, trial.sample)
        if pair in self.trials:
            raise JournalDamaged(f"sample {trial.sample} of case {trial.case!r} has a second trial")
        self.pairs[seq] = pair
        self.last_failure.pop(pair, None)
        self.trials[pair] = Graded(seq, trial, {})

    def _add_grade(self, grade: Grade) -> None:
        if grade.trial not in self.pairs:
            raise JournalDamaged(f"a grade names record {grade.trial}, which is not a trial")
        graded = self.trials[self.pairs[grade.trial]]
        grades = {**graded.grades, grader_name(grade.grader): grade}
        self.trials[self.pairs[grade.trial]] = Graded(graded.seq, graded.trial, grades)
