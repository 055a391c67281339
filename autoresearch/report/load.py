"""Read a trajectory for a report: live or finished, a run directory or a bare file, our format or the origin's."""

from __future__ import annotations

import codecs
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from autoresearch.core.records import Event, IterationRecord, Meta, decode
from autoresearch.core.trajectory import replies_of
from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.hints import hint_after
from autoresearch.report import native, origin
from autoresearch.report.history import History
from autoresearch.report.history_cache import builder_of, history_cache, state_of
from autoresearch.report.native import HistoryBuilder
from autoresearch.report.promotion import read_certificate
from autoresearch.storage import journal
from autoresearch.storage.decode import OTHER_VERSION, decode_lines, decode_whole
from autoresearch.storage.encoding import decode_wide
from autoresearch.storage.fold_cache import FoldCache, is_worth_writing
from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.storage.sealed_line import Blocks, Prefix, WholeLines, read_blocks
from autoresearch.storage.survey import shortened, survey
from autoresearch.storage.torn_tail import tail_problem

LINE_START = b'{"seq":'  # of each line in our format, and of none in the origin's
HEAD_BYTES = 1 << 20
HINT_WAIT = "wait for the first record, or name another run"
HINT_NO_RECORD = "restore the file from a backup, or start over with `autoresearch run --fresh`"
NO_META = "the first record is not meta: the menu, the baseline's configuration and the yardstick are unknown"
HINT_PATH = f"name a run directory or a {TRAJECTORY}; `autoresearch run` creates them"


def load(path: Path) -> History:
    """The history of the trajectory at ``path``, read without changing or locking anything.

    A torn last line is ignored: it may still be written. Of a damaged file every whole record is shown, and the
    history's ``warnings`` name the lines that are not. Raises ``JournalError`` for a file that is missing, empty,
    unreadable or not a trajectory, ``JournalDamaged`` for one in the origin's format.
    """
    file = _file_of(path)
    data = _read(file, HEAD_BYTES)
    if not data:
        raise JournalError(f"{file} is empty", hint=HINT_WAIT)
    if _is_ours(data):
        history = _history_of_sound_file(file, cached=file != path) or _history_of_whole_lines(file)
        return replace(history, certificate=read_certificate(file.parent, history.run_id))
    data = _read(file, origin.MAX_BYTES + 1)
    if len(data) > origin.MAX_BYTES:
        limit = f"larger than {origin.MAX_BYTES >> 20} MiB, the limit for a log in the origin's format"
        what = f"{file} is not a trajectory of this version, and it is {limit}"
        raise JournalError(what, hint=HINT_PATH)
    return origin.build_history(origin.parse(data, str(file)))


def load_records(path: Path) -> list[Event]:
    """All records of a trajectory in our format; errors as ``stream_records``."""
    return list(stream_records(path))


def stream_records(path: Path) -> Iterator[Event]:
    """Yield the records of a trajectory in our format; one block of the file and one record are held at a time.

    Errors as ``load``, and ``JournalError`` for the origin's format. Damage raises where it is met, so that nothing may
    be shown of the records before it.
    """
    file = _file_of(path)
    if not _is_ours(_read(file, HEAD_BYTES)):
        hint = "name a run of autoresearch; only `autoresearch status` and `report` read the origin's log too"
        raise JournalError(f"{file} is empty or not a trajectory of this program", hint=hint)
    with _opened(file) as stream:
        lines = WholeLines(_blocks(stream.fileno(), 0, None))
        for number, record in enumerate(decode_lines(lines, decode, file, hint=OTHER_VERSION)):
            if not number and not isinstance(record, Meta):
                hint = "copy the file from its run directory again"
                raise JournalDamaged(f"{file}: line 1 is not a meta record", hint=hint)
            yield record
    if not is_sound(lines):
        journal.read(file)  # names the damage, or finds that the rest is one torn record
    if not lines.count:
        raise JournalError(f"{file} contains no complete record", hint=HINT_WAIT)


def raw_replies(path: Path) -> list[tuple[str, ...]]:
    """The proposer's replies in a trajectory, for a replay: a tuple of raw proposals each; errors as ``load``.

    In our format they are verbatim and include refused ones. The origin's format has no raw replies: each of its
    proposals is written again as JSON and is a reply of its own.
    """
    file = _file_of(path)
    if _is_ours(_read(file, HEAD_BYTES)):
        closed = (r for r in stream_records(file) if isinstance(r, IterationRecord))
        return [tuple(a.raw for a in reply) for r in closed for reply in replies_of(r.attempts)]
    rows = [r for r in load(path).rows if r.knob]
    return [(json.dumps({"knob": r.knob, "new_value": r.new_value, "reason": r.why or ""}),) for r in rows]


def _history_of_sound_file(file: Path, *, cached: bool) -> History | None:
    """The history of a file without damage, of which one block and one record are held at a time; else ``None``."""
    cache = history_cache(file) if cached else None
    try:
        with file.open("rb") as stream:
            builder, lines, prefix = _begin(cache, partial(_blocks, stream.fileno()))
            for payload in lines:
                builder.add(decode(payload))
    except (OSError, JournalDamaged, ValueError):
        return None
    if not lines.count or not is_sound(lines):
        return None
    if cache and is_worth_writing(lines, prefix):
        cache.write(state_of(builder), lines)
    return builder.history()


def _begin(cache: FoldCache[Any] | None, blocks: Blocks) -> tuple[HistoryBuilder, WholeLines, Prefix | None]:
    """Begin after the part of the file that the cache is of, if the file begins with it."""
    prefix = cache.prefix if cache else None
    lines = WholeLines.after(prefix, blocks)
    state = cache.state(prefix) if cache and lines else None
    if lines is None or state is None:
        return HistoryBuilder(), WholeLines(blocks(0, None)), None
    return builder_of(state), lines, prefix


def _blocks(fd: int, start: int, end: int | None) -> Iterator[bytes]:
    return read_blocks(fd, start, os.fstat(fd).st_size if end is None else end)


def is_sound(lines: WholeLines) -> bool:
    """Whether nothing follows the whole lines, or what can only be one torn record."""
    rest = lines.rest
    return not lines.stopped and (not rest or bool(rest.strip() and b"\0" not in rest and not tail_problem(rest, ())))


def _history_of_whole_lines(file: Path) -> History:
    found = survey(_read(file, -1))
    records, unknown = decode_whole(found.lines)
    if not found.lines:
        if found.problems or found.notes:
            raise JournalDamaged(f"{file}: {'; '.join(found.warnings())}", hint=HINT_NO_RECORD)
        raise JournalError(f"{file} contains no complete record", hint=HINT_WAIT)
    warnings = (*found.warnings(), *shortened(unknown))
    if not isinstance(records[0] if records else None, Meta):
        warnings = (*warnings, NO_META)
    return replace(native.build_history(records, damaged=bool(warnings)), warnings=warnings)


def _is_ours(head: bytes) -> bool:
    head = decode_wide(head).removeprefix(codecs.BOM_UTF8).lstrip()
    return head.startswith(LINE_START) or b"\n" + LINE_START in head


def _file_of(path: Path) -> Path:
    try:
        is_dir = path.is_dir()
        file = path / TRAJECTORY if is_dir else path
        if file.is_file():
            return file
        exists = file.exists()
    except OSError as e:
        raise JournalError(f"cannot read {path}: {e.strerror}", hint=hint_after(e, path, "read")) from e
    if exists:
        raise JournalError(f"{file} is not a regular file", hint=HINT_PATH)
    if is_dir:
        raise JournalError(f"{path} has no {TRAJECTORY}: no run has started there", hint=HINT_PATH)
    raise JournalError(f"{path} does not exist", hint=HINT_PATH)


def _read(file: Path, limit: int) -> bytes:
    with _opened(file) as stream:
        return stream.read(limit)


@contextmanager
def _opened(file: Path) -> Iterator[BinaryIO]:
    try:
        with file.open("rb") as stream:
            yield stream
    except OSError as e:
        raise JournalError(f"cannot read {file}: {e.strerror}", hint=hint_after(e, file, "read")) from e
