"""Read a trajectory to look at it: live or finished, a run directory or a bare file, our format or the origin's."""

from __future__ import annotations

import json
from pathlib import Path

from autoresearch.core.records import Event, IterationRecord, Meta, decode
from autoresearch.core.trajectory import replies_of
from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.report import native, origin
from autoresearch.report.history import History
from autoresearch.storage import journal
from autoresearch.storage.decode import OTHER_VERSION, decode_lines
from autoresearch.storage.run_dir import TRAJECTORY

SEALED = b'{"seq":'  # how each of our lines begins; none of the origin's does
HEAD_BYTES = 1 << 20
WAIT = "wait for the first record, or name another run"
NAME_ONE = f"give a run directory or a {TRAJECTORY}; `autoresearch run` makes one"


def load(path: Path) -> History:
    """What the trajectory at ``path`` tells, without changing or locking anything.

    A torn last line is passed over: its writer may be in the middle of it. Raises ``JournalError`` for what is
    missing, empty, unreadable or something else, and ``JournalDamaged`` naming the line for damage before the tail.
    """
    file = _file_of(path)
    data = _read(file, HEAD_BYTES)
    if not data:
        raise JournalError(f"{file} is empty", hint=WAIT)
    if _is_ours(data):
        return native.build_history(_records(file))
    data = _read(file, origin.MAX_BYTES + 1)
    if len(data) > origin.MAX_BYTES:
        what = f"{file} is no trajectory of this version, and too large ({origin.MAX_BYTES >> 20} MiB) for the origin's"
        raise JournalError(what, hint=NAME_ONE)
    return origin.build_history(origin.parse(data, str(file)))


def load_records(path: Path) -> list[Event]:
    """The records of one of our own trajectories, whole; errors as ``load``, and ``JournalError`` for the origin's."""
    file = _file_of(path)
    if not _is_ours(_read(file, HEAD_BYTES)):
        hint = "name a run of autoresearch's own; `autoresearch report` reads the origin's log too"
        raise JournalError(f"{file} is empty or no trajectory of this program", hint=hint)
    return _records(file)


def raw_replies(path: Path) -> list[tuple[str, ...]]:
    """What the proposer of a trajectory said for a replay, the proposals of one reply together; errors as ``load``.

    Ours word for word, the refused ones too; the origin kept no raw replies, so there each proposal is written anew and
    is a reply of its own.
    """
    history = load(path)
    file = _file_of(path)
    if _is_ours(_read(file, HEAD_BYTES)):
        closed = (r for r in _records(file) if isinstance(r, IterationRecord))
        return [tuple(a.raw for a in reply) for r in closed for reply in replies_of(r.attempts)]
    rows = [r for r in history.rows if r.knob]
    return [(json.dumps({"knob": r.knob, "new_value": r.new_value, "reason": r.why or ""}),) for r in rows]


def _is_ours(head: bytes) -> bool:
    return head.startswith(SEALED) or b"\n" + SEALED in head


def _file_of(path: Path) -> Path:
    try:
        is_dir = path.is_dir()
        file = path / TRAJECTORY if is_dir else path
        if file.is_file():
            return file
        exists = file.exists()
    except OSError as e:
        raise JournalError(f"cannot read {path}: {e.strerror}", hint="see its permissions") from e
    if exists:
        raise JournalError(f"{file} is not a regular file", hint=NAME_ONE)
    if is_dir:
        raise JournalError(f"{path} has no {TRAJECTORY}: nothing has run there", hint=NAME_ONE)
    raise JournalError(f"there is no {path}", hint=NAME_ONE)


def _read(file: Path, limit: int) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(limit)
    except OSError as e:
        raise JournalError(f"cannot read {file}: {e.strerror}", hint="see its permissions") from e


def _records(file: Path) -> list[Event]:
    records: list[Event] = list(decode_lines(journal.read(file).payloads, decode, file, hint=OTHER_VERSION))
    if not records:
        raise JournalError(f"{file} holds no whole record", hint=WAIT)
    if not isinstance(records[0], Meta):
        raise JournalDamaged(f"{file}: line 1 is no meta record", hint="take the file from its run directory again")
    return records
