"""Import what ``ns eval`` of NVIDIA-NeMo/Skills wrote: its samples with their verdicts, and its metrics.json.

Seeds become samples, in the order of their numbers. A seed that did not finish stays planned: its samples are missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.imported import ImportedRun, ImportedTrial
from autoresearch.benches.jsonl import read_objects, shown
from autoresearch.benches.samples.cases import SUITE
from autoresearch.benches.samples.grading import CHOICES
from autoresearch.benches.samples.ns_files import GREEDY, BenchmarkFiles, find_files
from autoresearch.benches.samples.ns_metrics import read_metrics, rows_of
from autoresearch.benches.samples.ns_rows import EXTERNAL, BadRow, Row, judge_grade, parse_row, symbolic_grade, trial_of
from autoresearch.benches.samples.scores import PUBLISHED
from autoresearch.core.text import plural
from autoresearch.errors import CorpusError
from autoresearch.machine import utc

FORMAT = "ns-eval"
HINT = "these are not the outputs of one `ns eval`: see docs/benches.md"

Rows = dict[str, dict[int, Row]]  # by case id, then by seed


def import_runs(files: Sequence[Path]) -> ImportedRun:
    """Read output directories, output files and metrics.json. Raises ``CorpusError`` with file, line and field."""
    benchmarks, metrics = find_files(files)
    every_row = [row for file in metrics for row in read_metrics(file)]
    if not benchmarks:
        return _only_published(every_row)
    published = rows_of(every_row, (benchmark.name for benchmark in benchmarks))
    seeds = benchmarks[0].seeds
    for other in benchmarks[1:]:
        if other.seeds != seeds:
            what = f"{benchmarks[0].name} has the seeds {_listed(seeds)}, {other.name} has {_listed(other.seeds)}"
            raise CorpusError(what, hint="import benchmarks with different seeds one by one")
    now = utc()
    notes: list[str] = []
    cases: list[Case] = []
    trials: list[ImportedTrial] = []
    for benchmark in benchmarks:
        rows = _read_benchmark(benchmark, notes)
        kind = _kind([row for by_seed in rows.values() for row in by_seed.values()])
        for name, by_seed in rows.items():
            case = _case(benchmark, name, by_seed, kind, prefix=len(benchmarks) > 1)
            cases.append(case)
            trials += [_trial(case, seeds.index(seed), row, now) for seed, row in by_seed.items()]
    if not trials:
        raise CorpusError("no finished output has a sample", hint="let `ns eval` finish at least one seed")
    if any(case.payload["kind"] == EXTERNAL for case in cases):
        notes.append("is_correct is upstream's own verdict: it is shown, and never graded again")
    return ImportedRun(
        format=FORMAT,
        cases=CaseSet(SUITE, tuple(cases)),
        samples=len(seeds),
        trials=tuple(trials),
        options={
            "seeds": [None if seed == GREEDY else seed for seed in seeds],
            "benchmarks": [benchmark.name for benchmark in benchmarks],
            "published": published,
        },
        notes=tuple(notes),
    )


def _only_published(published: list[dict[str, Any]]) -> ImportedRun:
    """A metrics.json without its samples: a table to look at. Its rows are cases without trials."""
    names = Counter(f"{row['benchmark']} {row['mode']}" for row in published)
    if twice := [name for name, count in names.items() if count > 1]:
        raise CorpusError(f"{twice[0]} is in more than one metrics.json", hint="import them one by one")
    payload = {"kind": PUBLISHED, "question": "", "expected_answer": ""}
    cases = tuple(Case(id=name, suite=SUITE, payload=payload) for name in names)
    note = "only metrics.json was imported: its figures cannot be checked or compared"
    return ImportedRun(FORMAT, CaseSet(SUITE, cases), 1, (), options={"published": published}, notes=(note,))


def _read_benchmark(benchmark: BenchmarkFiles, notes: list[str]) -> Rows:
    """The rows of all seeds, joined by ``id``, or by their number where no row has an id."""
    by_seed = {seed: _read_rows(file) for seed, file in sorted(benchmark.outputs.items())}
    for seed, why in sorted(benchmark.unfinished.items()):
        which = "the greedy generation" if seed == GREEDY else f"seed {seed}"
        notes.append(f"{benchmark.name}: {which} has not finished, so its samples are missing: {why}")
    with_id = sum(row is not None and row.id is not None for rows in by_seed.values() for _, row in rows)
    without_id = sum(row is not None and row.id is None for rows in by_seed.values() for _, row in rows)
    if with_id and without_id:
        raise CorpusError(f"{benchmark.name}: {without_id} rows have no id, {with_id} have one", hint=HINT)
    joined: Rows = {}
    join = _join_by_id if with_id else _join_by_number
    join(benchmark, by_seed, joined)
    nowhere = max(map(len, by_seed.values()), default=0) - len(joined)  # rows {} whose id no output has
    joined |= {f"row without id {number}": {} for number in range(1, nowhere + 1)}
    _check_same(benchmark, joined)
    empty = sum(row is None for rows in by_seed.values() for _, row in rows)
    if empty:
        notes.append(f"{benchmark.name}: {plural(empty, 'row')} {{}}: generations that did not end; they are missing")
    absent = sum(len(by_seed) - len(rows) for rows in joined.values()) - empty
    if absent > 0:
        notes.append(f"{benchmark.name}: {plural(absent, 'sample')} missing: an id is not in every finished output")
    if joined and all(_has_no_verdict(rows.values()) for rows in joined.values()):
        notes.append(f"{benchmark.name}: no row has a verdict: `autoresearch bench regrade` grades them")
    return joined


def _read_rows(file: Path) -> list[tuple[int, Row | None]]:
    """The rows with their lines; ``None`` for ``{}``, a generation that did not end."""
    rows: list[tuple[int, Row | None]] = []
    for number, line in read_objects(file, HINT):
        try:
            rows.append((number, parse_row(line) if line else None))
        except BadRow as e:
            raise CorpusError(f"{file}: line {number}: {e}", hint=HINT) from e
    if not rows:
        raise CorpusError(f"{file} is empty", hint=HINT)
    return rows


def _join_by_id(files: BenchmarkFiles, by_seed: Mapping[int, list[tuple[int, Row | None]]], joined: Rows) -> None:
    for seed, rows in by_seed.items():
        lines: dict[str, int] = {}
        for number, row in rows:
            if row is None:
                continue
            name = str(row.id)
            if first := lines.get(name):
                what = f"{files.outputs[seed]}: line {number}: id: {shown(name)} is the id of line {first} too"
                raise CorpusError(what, hint=HINT)
            lines[name] = number
            joined.setdefault(name, {})[seed] = row


def _join_by_number(files: BenchmarkFiles, by_seed: Mapping[int, list[tuple[int, Row | None]]], joined: Rows) -> None:
    counts = {seed: len(rows) for seed, rows in by_seed.items()}
    if len(set(counts.values())) > 1:
        few, many = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        what = (
            f"the rows have no id, and {files.outputs[few]} has {plural(counts[few], 'row')}, "
            f"{files.outputs[many]} has {plural(counts[many], 'row')}"
        )
        raise CorpusError(what, hint="rows without an id are joined by their number: let `ns eval` finish every seed")
    for seed, rows in by_seed.items():
        for index, (_, row) in enumerate(rows):
            same = joined.setdefault(f"{index:06d}", {})
            if row is not None:
                same[seed] = row


def _check_same(files: BenchmarkFiles, joined: Rows) -> None:
    """The rows of one case ask the same question."""
    for name, rows in joined.items():
        for field in ("question", "expected"):
            values = {seed: getattr(row, field) for seed, row in rows.items()}
            if len(set(values.values())) > 1:
                first, *others = values
                other = next(seed for seed in others if values[seed] != values[first])
                column = {"question": "problem", "expected": "expected_answer"}[field]
                what = (
                    f"{column} of {shown(name)} is {shown(values[first])} in {files.outputs[first]}, "
                    f"and {shown(values[other])} in {files.outputs[other]}"
                )
                raise CorpusError(what, hint=HINT)


def _case(benchmark: BenchmarkFiles, name: str, by_seed: Mapping[int, Row], kind: str, *, prefix: bool) -> Case:
    """The case of these rows; ``kind`` is that of the benchmark, for a case that no output has."""
    rows = list(by_seed.values())
    subset = next((row.family for row in rows if row.family), "")
    family = f"{benchmark.name} {subset}".rstrip() if prefix else subset
    payload = {
        "question": next((row.question for row in rows if row.question), ""),
        "expected_answer": next((row.expected for row in rows if row.expected), ""),
        "kind": _kind(rows) if rows else kind,
    }
    return Case(id=f"{benchmark.name}/{name}" if prefix else name, suite=SUITE, family=family, payload=payload)


def _kind(rows: Sequence[Row]) -> str:
    if any(row.judgement is not None for row in rows):
        return "judge"
    if any(row.external is not None for row in rows) and all(row.symbolic is None for row in rows):
        return EXTERNAL
    letters = all(len(row.expected) == 1 and row.expected in CHOICES for row in rows)
    return "mcq" if rows and letters else "math"


def _trial(case: Case, sample: int, row: Row, now: str) -> ImportedTrial:
    kind = str(case.payload["kind"])
    trial = trial_of(row, case.id, sample, kind, now)
    judge = judge_grade(row, trial.ts)
    grades = [symbolic_grade(row, kind, trial.ts), *([judge] if judge else [])]
    return ImportedTrial(trial, tuple(grades))


def _has_no_verdict(rows: Iterable[Row]) -> bool:
    return all(row.symbolic is None and row.external is None and row.judgement is None for row in rows)


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join("greedy" if seed == GREEDY else str(seed) for seed in seeds)
