"""The directory of a bench run: trials.jsonl, cases.jsonl and a folder per attempt. One process writes in it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from pydantic import ValidationError

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.conditions import differences
from autoresearch.benches.fold import Fold
from autoresearch.benches.ports import BenchRun
from autoresearch.benches.records import BenchMeta, BenchRecord, decode_bench_record
from autoresearch.core.records import encode
from autoresearch.errors import ConfigError, CorpusError, JournalDamaged, JournalError, LockHeld, YardstickMismatch
from autoresearch.hints import hint_after
from autoresearch.storage.decode import OTHER_VERSION, decode_lines
from autoresearch.storage.files import atomic_write
from autoresearch.storage.journal import Journal, read
from autoresearch.storage.run_dir import TRAJECTORY, hold
from autoresearch.storage.sealed_line import seal

TRIALS = "trials.jsonl"
CASES = "cases.jsonl"
FIRST_FIELD = b'"stage":"meta"'
RESERVE_BYTES = 256 << 10  # of disk space for the next records
MAX_CASES_BYTES = 1 << 30


class BenchDirectory:
    """A bench run that this process writes: what was recorded so far, and the journal for what follows."""

    def __init__(self, path: Path, journal: Journal, fold: Fold) -> None:
        self.path, self.fold = path, fold
        self._journal = journal

    @property
    def torn_bytes(self) -> int:
        """Bytes of a record that a kill left half written; they were cut off and kept beside the journal."""
        return self._journal.torn_bytes

    def check(self, meta: BenchMeta) -> None:
        """Raise ``YardstickMismatch`` that names what differs, where the run has other conditions than ``meta``."""
        if self.fold.meta is not None and (differ := differences(self.fold.meta, meta)):
            hint = "run it with the same conditions, or choose another --dir for these"
            raise YardstickMismatch(f"{self.path} was run under other conditions: {'; '.join(differ)}", hint=hint)

    def begin(self, meta: BenchMeta, cases: CaseSet) -> None:
        """Write the first record, or check that the run continues under the same conditions; ``samples`` may grow."""
        old = self.fold.meta
        self.check(meta)
        if old is None:
            _write_cases(self.path, cases)
            self.append(meta)
            return
        if (old.samples, old.base_url, old.versions) != (meta.samples, meta.base_url, meta.versions):
            self.append(meta)

    def append(self, record: BenchRecord) -> int:
        """Write a record durably; returns its number. Raises ``JournalError``."""
        seq = self._journal.append(encode(record))
        self.fold.add(seq, record)
        return seq


@contextmanager
def open_directory(path: Path) -> Iterator[BenchDirectory]:
    """Hold the directory, which is created if missing, and read what it has.

    Raises ``LockHeld``, ``JournalError``, ``JournalDamaged``, and ``ConfigError`` for the directory of a training run.
    """
    with _held(path), closing(Journal(path / TRIALS, FIRST_FIELD, RESERVE_BYTES)) as journal:
        yield BenchDirectory(path, journal, _fold(path / TRIALS, list(journal)))


@contextmanager
def _held(path: Path) -> Iterator[None]:
    if (path / TRAJECTORY).exists():
        raise ConfigError(f"{path} is the directory of a training run", hint="choose another --dir")
    try:
        held = hold(path)
        held.__enter__()
    except LockHeld as e:
        raise LockHeld(e.what, hint="stop that process first, or use another --dir") from e
    try:
        yield
    finally:
        held.__exit__(None, None, None)


def read_run(path: Path) -> BenchRun:
    """A bench run from its directory, or from its trials.jsonl, without changing anything.

    A torn last record counts as not written. Raises ``CorpusError`` and ``JournalDamaged``.
    """
    folder = path.parent if path.name == TRIALS else path
    if not (folder / TRIALS).is_file():
        hint = "name the directory of a `bench run` or a `bench import`"
        raise CorpusError(f"{folder} is not a bench run: it has no {TRIALS}", hint=hint)
    fold = _fold(folder / TRIALS, read(folder / TRIALS).payloads)
    if fold.meta is None:
        raise CorpusError(f"{folder / TRIALS} has no record yet", hint="`bench run` with this --dir begins it")
    return fold.run(folder, read_cases(folder, fold.meta))


def read_cases(folder: Path, meta: BenchMeta) -> CaseSet:
    """The cases of a run. Raises ``CorpusError`` where they are not those of its trials."""
    path = folder / CASES
    try:
        cases = CaseSet(meta.suite, tuple(_decode_cases(path)))
    except CorpusError as e:
        if str(path) in e.what:
            raise
        raise CorpusError(f"{path}: {e.what}", hint="restore the file from a copy") from e
    if cases.sha256 != meta.cases_sha256:
        what = f"{path} has other cases than the run's: sha256 {cases.sha256[:12]}, recorded {meta.cases_sha256[:12]}"
        raise CorpusError(what, hint="restore the file; `bench run` wrote it and nothing may change it")
    return cases


def write_imported(path: Path, meta: BenchMeta, cases: CaseSet, records: Sequence[BenchRecord]) -> None:
    """Write a run that was made elsewhere into the new directory ``path``: all of its records at once, or none.

    Raises ``ConfigError`` where it has a run, and ``JournalError``.
    """
    file = path / TRIALS
    with _held(path):
        if file.exists() and file.stat().st_size:
            raise ConfigError(f"{path} already has a bench run", hint="choose another --dir")
        fold = Fold()
        lines = []
        for seq, record in enumerate((meta, *records)):
            fold.add(seq, record)
            lines.append(seal(seq, encode(record)))
        _write_cases(path, cases)
        try:
            atomic_write(file, b"".join(lines))
        except OSError as e:
            raise JournalError(f"cannot write {file}: {e.strerror}", hint=hint_after(e, file, "write")) from e


def _fold(path: Path, payloads: Sequence[bytes]) -> Fold:
    fold = Fold()
    for seq, record in enumerate(decode_lines(payloads, decode_bench_record, path, hint=OTHER_VERSION)):
        try:
            fold.add(seq, record)
        except JournalDamaged as e:
            hint = e.hint or f"restore {path.name} from a copy, or start in another directory"
            raise JournalDamaged(f"{path}: line {seq + 1}: {e.what}", hint=hint) from e
    return fold


def _write_cases(folder: Path, cases: CaseSet) -> None:
    """Write cases.jsonl. Raises ``CorpusError`` for a payload that JSON cannot hold, for example NaN."""
    lines: list[str] = []
    for case in cases.cases:
        try:
            lines.append(json.dumps(case.model_dump(), allow_nan=False))
        except (TypeError, ValueError, RecursionError) as e:
            raise CorpusError(f"case {case.id!r} is not plain JSON: {e}", hint="correct this case's payload") from e
    path = folder / CASES
    try:
        atomic_write(path, "".join(f"{line}\n" for line in lines).encode())
    except OSError as e:
        raise JournalError(f"cannot write {path}: {e.strerror}", hint=hint_after(e, path, "write")) from e
    if CaseSet(cases.suite, tuple(_decode_cases(path))).sha256 != cases.sha256:
        raise CorpusError("the cases change when they are written as JSON", hint="use text as the keys of payloads")


def _decode_cases(path: Path) -> Iterator[Case]:
    try:
        if path.stat().st_size > MAX_CASES_BYTES:
            raise CorpusError(f"{path} is larger than {MAX_CASES_BYTES >> 20} MiB")
        data = path.read_bytes()
    except OSError as e:
        raise CorpusError(f"cannot read {path}: {e.strerror}", hint="a bench run needs its cases") from e
    for number, line in enumerate(data.splitlines(), 1):
        try:
            yield Case.model_validate(json.loads(line))
        except (ValueError, RecursionError) as e:
            error = e.errors(include_url=False)[0] if isinstance(e, ValidationError) else None
            why = f"{'.'.join(map(str, error['loc']))}: {error['msg']}" if error else f"not JSON: {e}"
            raise CorpusError(f"{path}: line {number}: {why}", hint="restore the file from a copy") from e
