"""Repair a log that cannot be continued, and keep the original beside it.

Of a trajectory and of exchanges the longest gapless history is kept, because each record continues those before it; of
measured speeds every whole record, because each stands for itself.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from autoresearch.core.llm_calls import decode_exchange
from autoresearch.core.records import Meta, decode
from autoresearch.core.speeds import decode_speed
from autoresearch.core.text import plural
from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.storage import run_dir
from autoresearch.storage.decode import OTHER_VERSION, decode_whole
from autoresearch.storage.exchange_log import last_compressed
from autoresearch.storage.files import fsync_dir, open_regular
from autoresearch.storage.held_file import HeldFile
from autoresearch.storage.journal import seal
from autoresearch.storage.run_dir import BEFORE_REPAIR
from autoresearch.storage.survey import Line, Survey, survey

KEPT_ORIGINALS = 10  # beside one log; each is as large as the log was
WORK = "repairing"  # suffix of the file under which a copy is written before it gets its name
REPAIRABLE = (run_dir.TRAJECTORY, run_dir.EXCHANGES, run_dir.ENVELOPE)
DECODERS: Mapping[str, Callable[[bytes], Any]] = {
    run_dir.EXCHANGES: decode_exchange,
    run_dir.ENVELOPE: decode_speed,
}
FRESH_HINT = "restore the file from a backup, or start over with `autoresearch run --fresh`"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a repair of ``file`` would do. ``steps`` is empty where nothing is to be repaired."""

    file: Path
    warnings: tuple[str, ...]  # what is wrong
    steps: tuple[str, ...]  # what would be done
    kept: int  # records
    cut: int  # whole records that are not kept
    original: bytes
    repaired: bytes


def plan_repair(file: Path) -> Plan:
    """Find the least change after which the log continues. Changes nothing. The file's name says which log it is.

    Raises ``JournalError`` for a file that cannot be read or is not a log, and ``JournalDamaged`` where nothing can be
    continued: the first record of a trajectory is lost, or another version of the program wrote a record.
    """
    original = _read(file)
    found = survey(original)
    match file.name:
        case run_dir.EXCHANGES:
            kept = _numbered_exchanges(file, original, gapless(found.lines))
        case run_dir.ENVELOPE:
            kept = [replace(line, seq=seq) for seq, line in enumerate(found.lines)]
        case _:
            kept = _trajectory(file, found)
    _, unknown = decode_whole(kept, DECODERS.get(file.name, decode))
    if unknown:
        raise JournalDamaged(f"{file}: {unknown[0]}", hint=OTHER_VERSION)
    repaired = b"".join(seal(line.seq, line.payload.decode()) for line in kept)
    steps = tuple(_steps(found, kept, file.name == run_dir.ENVELOPE)) if repaired != original else ()
    return Plan(file, found.warnings(), steps, len(kept), len(found.lines) - len(kept), original, repaired)


def _trajectory(file: Path, found: Survey) -> list[Line]:
    """The records of a trajectory that can be continued. Raises ``JournalDamaged`` without the first one."""
    kept = gapless(found.lines)
    if not kept:
        problem = "; ".join(found.warnings()) or "it has no record"
        raise JournalDamaged(f"{file}: nothing can be continued: {problem}", hint=FRESH_HINT)
    records, unknown = decode_whole(kept[:1])
    if not unknown and not isinstance(records[0], Meta):
        raise JournalDamaged(f"{file}: line {kept[0].number} is not a meta record", hint=FRESH_HINT)
    return kept


def _numbered_exchanges(file: Path, original: bytes, kept: list[Line]) -> list[Line]:
    """The exchanges up to a gap in their own numbers, which continue those of the compressed segments."""
    next_number = last_compressed(file.parent, original) + 1
    exchanges, _ = decode_whole(kept, decode_exchange)
    right = takewhile(lambda pair: pair[0] == pair[1].exchange, zip(count(next_number), exchanges, strict=False))
    return kept[: len(list(right))] if len(exchanges) == len(kept) else kept


def gapless(lines: Iterable[Line]) -> list[Line]:
    """The records 0, 1, 2 ... without a gap, whatever their order in the file.

    It ends before a second, different record with a number that came already: two programs have written, and what
    follows continues one history or the other.
    """
    by_seq: dict[int, Line] = {}
    for line in lines:
        if by_seq.setdefault(line.seq, line).payload != line.payload:
            break
    kept: list[Line] = []
    while len(kept) in by_seq:
        kept.append(by_seq[len(kept)])
    return kept


def repair(plan: Plan) -> tuple[Path, str]:
    """Do it: keep the original as ``NAME.before-repair-N``, then replace the file.

    Returns the copy's path, and which older copies were removed (each is as large as the log); empty for none.

    The caller holds the run's lock; the log's own is taken here. Killed at any moment, the file is the old one or the
    repaired one, and whole; a repeated repair uses the copy again. Raises ``JournalError`` or ``LockHeld``.
    """
    try:
        with closing(HeldFile(plan.file)) as held:
            if held.read() != plan.original:
                raise JournalError(f"{plan.file} has changed meanwhile", hint="repeat the repair")
            copy = _keep_original(plan)
            _write(plan.file, plan.repaired)
            removed = held.remove_old(BEFORE_REPAIR.removesuffix("-"), KEPT_ORIGINALS)
    except OSError as e:
        raise JournalError(f"cannot repair {plan.file}: {e.strerror}", hint="see its permissions and disk space") from e
    return copy, removed


def _steps(found: Survey, kept: list[Line], keeps_all: bool) -> Iterator[str]:
    if keeps_all or not kept:
        yield from _steps_without_history(found, kept)
        return
    last = kept[-1]
    after = [line for line in found.lines if line.seq > last.seq or line.number > last.number]
    damaged = [p for p in found.problems if p.line > last.number]
    if after or damaged:
        why = f": {damaged[0]}" if damaged else ""
        yield f"keep the first {plural(len(kept), 'record')}, up to line {last.number}; cut what follows{why}"
    if after:
        why = "each record depends on those before it, so without the lost ones they are not a continuous history"
        yield f"cut {plural(len(after), 'whole record')} after that place: {why}"
    if any(p.line <= last.number for p in found.problems):
        yield "put the kept records in the order of their numbers, each once and on a line of its own"
    if found.notes:
        yield f"undo what an editor did ({'; '.join(found.notes)}); no record is lost by that"
    if found.torn:
        yield f"cut {plural(len(found.torn), 'byte')} of a record that was never completed, as the next run does itself"
    elif not (after or damaged or found.notes or found.problems):
        yield "remove blank lines at the end, as the next run does itself"


def _steps_without_history(found: Survey, kept: list[Line]) -> Iterator[str]:
    cut = found.problems or found.torn or len(kept) < len(found.lines)
    if cut or not found.notes:
        why = f": {found.problems[0]}" if found.problems else ""
        yield f"keep {plural(len(kept), 'whole record')}, numbered anew; cut what is not whole or cannot follow{why}"
    if found.notes:
        yield f"undo what an editor did ({'; '.join(found.notes)}); no record is lost by that"


def _keep_original(plan: Plan) -> Path:
    """Write the original under the number after the highest, or find the copy of a repair that was interrupted."""
    prefix = f"{plan.file.name}.{BEFORE_REPAIR}"
    newest = max((int(n) for path in plan.file.parent.iterdir() if (n := _number(path.name, prefix))), default=0)
    copy = plan.file.with_name(f"{prefix}{newest}")
    if newest and not copy.is_symlink() and copy.is_file() and copy.read_bytes() == plan.original:
        return copy
    copy = plan.file.with_name(f"{prefix}{newest + 1}")
    _write(copy, plan.original)
    return copy


def _number(name: str, prefix: str) -> str:
    """The digits after ``prefix`` of a copy's name; empty for any other name."""
    digits = name.removeprefix(prefix)
    return digits if name.startswith(prefix) and digits.isdecimal() and digits.isascii() else ""


def _write(target: Path, data: bytes) -> None:
    """Replace ``target`` by ``data``, durably, through one working file with a fixed name."""
    work = target.with_name(f"{target.name}.{WORK}")
    with contextlib.suppress(FileNotFoundError):
        work.unlink()  # of a repair that was killed
    with os.fdopen(open_regular(work, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(work, target)
    fsync_dir(target.parent)


def _read(file: Path) -> bytes:
    try:
        with os.fdopen(open_regular(file, os.O_RDONLY), "rb") as stream:
            return stream.read()
    except OSError as e:
        raise JournalError(
            f"cannot read {file}: {e.strerror}", hint="autoresearch repair RUN names a run directory"
        ) from e
