"""Import the output of other programs as a bench run, and export a run in another program's form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from autoresearch.benches.imported import ImportedRun
from autoresearch.benches.ports import BenchRun
from autoresearch.benches.records import BenchRecord, BenchTrial
from autoresearch.benches.run_directory import write_imported
from autoresearch.errors import AutoresearchError, ConfigError, CorpusError, missing_extra

# By the kind on the command line: the module with ``import_runs(files)``, and what it reads.
IMPORTERS = {
    "research": ("autoresearch.benches.research.imports", "AutoResearchBench's inference output, or a run's summary"),
    "samples": ("autoresearch.benches.samples.imports", "the output of `ns eval` of NeMo-Skills, or its metrics.json"),
}
# By suite: the module with ``export_run(run)``, which yields lines.
EXPORTERS = {"research": "autoresearch.benches.research.export"}

Importer = Callable[[Sequence[Path]], ImportedRun]


def import_files(kind: str | None, files: Sequence[Path]) -> ImportedRun:
    """Read foreign files as one run. Without ``kind`` the one importer that can read them is used.

    Raises ``ConfigError`` for another kind, and ``CorpusError`` with file and line for files that cannot be read.
    """
    if missing := [file for file in files if not file.exists()]:
        raise CorpusError(f"{missing[0]} does not exist", hint="name the files that another program wrote")
    if kind is not None:
        return importer_of(kind)(files)
    found: dict[str, ImportedRun] = {}
    failed: dict[str, AutoresearchError] = {}
    for name in IMPORTERS:
        try:
            found[name] = importer_of(name)(files)
        except AutoresearchError as e:
            failed[name] = e
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        what = f"the files can be read as {' and as '.join(found)}"
        raise ConfigError(what, hint=f"name the kind first: bench import {next(iter(found))} FILE...")
    reasons = "; ".join(f"as {name}: {e.what}" for name, e in failed.items())
    raise CorpusError(f"no importer reads these files ({reasons})", hint="name the kind first, to see its error alone")


def importer_of(kind: str) -> Importer:
    """The importer of this kind. Raises ``ConfigError`` for one that is not a key of ``IMPORTERS``."""
    if kind not in IMPORTERS:
        raise ConfigError(f"{kind!r} cannot be imported", hint=f"one of {', '.join(IMPORTERS)}")
    module, _ = IMPORTERS[kind]
    importer: Importer = _load(module, f"bench import {kind}").import_runs
    return importer


def _load(module: str, feature: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as e:
        raise missing_extra(feature, e.name or module, "bench") from e


def write_run(folder: Path, run: ImportedRun, ts: str) -> None:
    """Write an imported run into the new directory ``folder``. Raises ``ConfigError`` where it has a run."""
    write_imported(folder, run.meta(ts), run.cases, list(_records(run)))


def _records(run: ImportedRun) -> Iterator[BenchRecord]:
    """Each trial, its grades after it with its number, then what was unavailable; the meta record has number 0."""
    seq = 1
    for imported in run.trials:
        yield BenchTrial.model_validate(imported.trial)
        trial, seq = seq, seq + 1 + len(imported.grades)
        yield from (grade.model_copy(update={"trial": trial}) for grade in imported.grades)
    yield from run.unavailable


def export_lines(run: BenchRun) -> Iterator[str]:
    """The lines of a run in the form of its suite's origin. Raises ``ConfigError`` for a suite that has none."""
    if run.meta.suite not in EXPORTERS:
        known = ", ".join(EXPORTERS)
        raise ConfigError(f"a run of suite {run.meta.suite} has no other form", hint=f"export a run of: {known}")
    lines: Iterator[str] = _load(EXPORTERS[run.meta.suite], "bench export").export_run(run)
    yield from lines
