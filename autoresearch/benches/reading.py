"""Read a bench run from its directory: ``cases.jsonl`` and the journal ``trials.jsonl``. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.ports import BenchRun, Graded
from autoresearch.benches.records import BenchMeta, BenchRecord, BenchTrial, Grade, Unavailable, decode_bench_record
from autoresearch.benches.suites import SUITES
from autoresearch.errors import CorpusError, JournalDamaged, JournalError
from autoresearch.hints import hint_after
from autoresearch.storage import journal
from autoresearch.storage.decode import OTHER_VERSION, decode_lines

TRIALS, CASES = "trials.jsonl", "cases.jsonl"
MAX_BYTES = 4 << 30  # of one file
NOT_A_RUN = f"name the directory of a bench run: `autoresearch bench run` creates {TRIALS} and {CASES} in it"
COPY = "the file was changed after the run: restore it from a copy, or run the bench again in another --dir"


def read_run(path: Path) -> BenchRun:
    """The bench run in the directory ``path``; a path of its ``trials.jsonl`` is accepted too.

    A torn last line is ignored, because it may still be written: its attempt is missing. Raises ``JournalError`` for
    what is not a bench run, ``JournalDamaged`` with file and line for a record that does not fit the run, and
    ``CorpusError`` for cases that are damaged or are not those of the run.
    """
    folder = path.parent if path.name == TRIALS and not path.is_dir() else path
    file = folder / TRIALS
    if not file.is_file():
        missing = f"{file} does not exist" if folder.is_dir() else f"{folder} is not the directory of a bench run"
        raise JournalError(missing, hint=NOT_A_RUN)
    _check_size(file)
    records = list(decode_lines(journal.read(file).payloads, decode_bench_record, file, hint=OTHER_VERSION))
    if not records:
        raise JournalError(f"{file} contains no complete record", hint="wait for the first record, or name another run")
    first = records[0]
    if not isinstance(first, BenchMeta):
        raise JournalDamaged(f"{file}: line 1 is not a meta record", hint=COPY)
    if first.suite not in SUITES:
        names = ", ".join(SUITES)
        raise JournalDamaged(f"{file}: line 1: suite {first.suite!r} is not one of {names}", hint=OTHER_VERSION)
    cases = read_cases(folder / CASES, first.suite)
    if cases.sha256 != first.cases_sha256:
        raise CorpusError(f"{folder / CASES} does not hold the cases that this run was started with", hint=COPY)
    return assemble_run(folder, first, cases, records)


def assemble_run(folder: Path, meta: BenchMeta, cases: CaseSet, records: Iterable[BenchRecord]) -> BenchRun:
    """A run from its records, the meta record first; the position of a record is its seq.

    The latest grade of each grader's name wins. Raises ``JournalDamaged`` with the line of a second meta record, a case
    or a sample that was not planned, a second trial of one attempt, and a grade of what is not a trial.
    """
    known = {case.id for case in cases.cases}
    file = folder / TRIALS
    trials: dict[int, BenchTrial] = {}
    at: dict[tuple[str, int], int] = {}
    grades: dict[int, dict[str, Grade]] = {}
    lost: dict[tuple[str, int], Unavailable] = {}
    for seq, record in enumerate(records):
        problem = ""
        match record:
            case BenchMeta():
                problem = "is a second meta record" if seq else ""
            case BenchTrial(case=case, sample=sample) | Unavailable(case=case, sample=sample):
                if case not in known or not 0 <= sample < meta.samples:
                    problem = f"is of case {case!r}, sample {sample}, which was not planned"
                elif isinstance(record, Unavailable):
                    lost[case, sample] = record
                elif (case, sample) in at:
                    problem = f"is a second trial of case {case!r}, sample {sample} (line {at[case, sample] + 1})"
                else:
                    trials[seq], at[case, sample] = record, seq
            case Grade():
                if record.trial in trials:
                    grades.setdefault(record.trial, {})[grader_name(record.grader)] = record
                else:
                    problem = f"grades record {record.trial}, which is not a trial before it"
        if problem:
            raise JournalDamaged(f"{file}: line {seq + 1} {problem}", hint=COPY)
    graded = {pair: Graded(seq, trials[seq], grades.get(seq, {})) for pair, seq in at.items()}
    missing = {pair: record for pair, record in lost.items() if pair not in graded}
    return BenchRun(folder, meta, cases, graded, missing)


def grader_name(grader: str) -> str:
    """``math`` of ``math@3``."""
    return grader.partition("@")[0]


def read_cases(file: Path, suite: str) -> CaseSet:
    """The cases that a run keeps in its directory, one JSON object a line. Raises ``CorpusError`` with the line."""
    _check_size(file)
    try:
        lines = file.read_bytes().decode("utf-8").split("\n")
    except UnicodeDecodeError as e:
        raise CorpusError(f"{file}: byte {e.start} is not UTF-8", hint=COPY) from e
    except OSError as e:
        raise CorpusError(f"cannot read {file}: {e.strerror}", hint=hint_after(e, file, "read")) from e
    cases = []
    for number, line in enumerate(lines[:-1] if not lines[-1] else lines, 1):
        try:
            cases.append(Case.model_validate_json(line))
        except ValidationError as e:
            first = e.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the case"
            raise CorpusError(f"{file}: line {number}: {where}: {first['msg']}", hint=COPY) from e
    try:
        return CaseSet(suite, tuple(cases))
    except CorpusError as e:
        raise CorpusError(f"{file}: {e.what}", hint=COPY) from e


def _check_size(file: Path) -> None:
    try:
        size = file.stat().st_size
    except OSError:
        return  # named by the read that follows
    if size > MAX_BYTES:
        raise CorpusError(f"{file} is larger than {MAX_BYTES >> 30} GiB", hint=NOT_A_RUN)
