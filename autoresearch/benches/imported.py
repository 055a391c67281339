"""A run of another program, as a suite's ``import_runs`` returns it: what its journal will hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from autoresearch.benches.cases import CaseSet
from autoresearch.benches.records import BenchMeta, BenchTrial, Grade, Unavailable


@dataclass(frozen=True, slots=True)
class ImportedTrial:
    """A trial with the grades that its source gives. ``Grade.trial`` is set when the journal is written: pass 0."""

    trial: BenchTrial
    grades: tuple[Grade, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """Everything that was read. A planned sample without a trial stays missing; nothing is made up for it.

    ``format`` names what was read, for example ``ns-eval``. ``notes`` say what the source lacks, one sentence each;
    ``samples`` is the number of planned samples of each case.
    """

    format: str
    cases: CaseSet
    samples: int
    trials: tuple[ImportedTrial, ...]
    unavailable: tuple[Unavailable, ...] = ()
    model: str | None = None
    base_url: str | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict)
    prompt_sha256: str = "0" * 64  # not known
    limits: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def meta(self, ts: str) -> BenchMeta:
        """The first record of its journal. Notes are kept in the options, as ``import_notes``."""
        notes = {"import_notes": list(self.notes)} if self.notes else {}
        return BenchMeta(
            ts=ts,
            suite=self.cases.suite,
            cases_sha256=self.cases.sha256,
            cases=len(self.cases.cases),
            samples=self.samples,
            model=self.model,
            base_url=self.base_url,
            sampling=dict(self.sampling),
            prompt_sha256=self.prompt_sha256,
            limits=dict(self.limits),
            options=dict(self.options) | notes,
            versions=dict(self.versions),
            imported=self.format,
        )
