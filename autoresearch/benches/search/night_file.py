"""The nights of a bench on disk, each durable once it has ended, so that the same command continues after a kill."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import FiniteFloat, TypeAdapter

import autoresearch
from autoresearch.benches.search.night import Mark, Night
from autoresearch.benches.search.table import Table
from autoresearch.core.values import FrozenModel, decode_record, sha256_of
from autoresearch.storage.decode import decode_lines
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import hold

NIGHTS = "nights.jsonl"
CODE = ("benches/search", "proposers", "core/trajectory.py")  # a change of it is another bench


class MarkRecord(FrozenModel):
    """See ``Mark``."""

    trials: int
    is_flops: bool
    mean_true: FiniteFloat
    crash_frac: FiniteFloat


class NightRecord(FrozenModel):
    """A night. Those with the same ``conditions_sha256`` ran on the same surrogate, with the same code and marks."""

    conditions_sha256: str
    proposer: str
    seed: int
    marks: tuple[MarkRecord, ...]
    curve: tuple[FiniteFloat, ...]


NIGHT: TypeAdapter[NightRecord] = TypeAdapter(NightRecord)


def conditions_of(table: Table, marks: tuple[int, ...]) -> str:
    """The hash of everything that a night depends on beside its proposer and its seed."""
    rows = [[row.cfg, row.value, row.flops, row.curve] for row in table.rows]
    return sha256_of({"menu": table.menu.sha256, "rows": rows, "marks": list(marks), "code": code_sha256(CODE)})


@dataclass(slots=True)
class NightFile:
    """``others`` counts nights of other conditions, which are left alone."""

    conditions: str
    known: dict[tuple[str, int], Night]
    others: int
    _journal: Journal

    def keep(self, night: Night) -> None:
        """Make a night durable; one that could not run is tried again."""
        if not night.missing:
            marks = tuple(
                MarkRecord(**{name: getattr(m, name) for name in MarkRecord.model_fields}) for m in night.marks
            )
            record = NightRecord(
                conditions_sha256=self.conditions,
                proposer=night.proposer,
                seed=night.seed,
                marks=marks,
                curve=night.curve,
            )
            self._journal.append(record.model_dump_json())


@contextmanager
def open_nights(directory: Path, conditions: str) -> Iterator[NightFile]:
    """Hold the directory. Raises ``LockHeld``, ``JournalError`` or ``JournalDamaged``."""
    with hold(directory) as run_dir:
        journal = Journal(run_dir / NIGHTS)
        try:
            known: dict[tuple[str, int], Night] = {}
            others = 0
            for record in decode_lines(journal, lambda p: decode_record(NIGHT, p), journal.path, hint="another --dir"):
                if record.conditions_sha256 == conditions:
                    marks = tuple(Mark(**m.model_dump()) for m in record.marks)
                    known[record.proposer, record.seed] = Night(record.proposer, record.seed, marks, "", record.curve)
                else:
                    others += 1
            yield NightFile(conditions, known, others, journal)
        finally:
            journal.close()


def code_sha256(names: Sequence[str]) -> str:
    """The hash of these files, and of all files in these folders, of the package."""
    root = Path(autoresearch.__file__).parent
    digest = hashlib.sha256()
    for name in names:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.read_bytes())
    return digest.hexdigest()
