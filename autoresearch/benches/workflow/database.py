"""The sqlite database of a service: built from its task, bounded, and without a way to other files.

The schema and the statements come from a task of unknown origin. The values that an agent sends are only ever bound.
"""

from __future__ import annotations

import contextlib
import math
import re
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from autoresearch.benches.workflow.checks import Scalar
from autoresearch.benches.workflow.task import Endpoint, Service

MAX_ROWS = 200  # of one answer
MAX_ANSWER_CHARS = 256 << 10
MAX_VALUE_BYTES = 1 << 20
MAX_DATABASE_PAGES = 16_384  # of 4 KiB
STATEMENT_S = 5.0
_STEPS = 10_000  # of sqlite's virtual machine between two looks at the clock

_FORBIDDEN = frozenset(
    {sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH, sqlite3.SQLITE_PRAGMA, sqlite3.SQLITE_CREATE_VTABLE}
)
_OF_QUERIES = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_FORBIDDEN_FUNCTIONS = frozenset({"load_extension", "readfile", "writefile", "edit", "fts3_tokenizer"})
_NOT_CODE = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)
_PARAMETER = re.compile(r"(?<![:\w]):([A-Za-z_][A-Za-z0-9_]*)")


class SqlError(Exception):
    """A statement failed; the message is sqlite's own."""


class DatabaseDamaged(SqlError):
    """The file is missing, or is not a database of sqlite."""


def parameters_of(sql: str) -> tuple[str, ...]:
    """The names of ``:name`` in ``sql``, each once, in order; those in strings and comments do not count."""
    return tuple(dict.fromkeys(_PARAMETER.findall(_NOT_CODE.sub(" ", sql))))


def all_parameters(endpoint: Endpoint) -> tuple[str, ...]:
    """The parameters of a request: those of the path first, then those of the statement."""
    return tuple(dict.fromkeys((*endpoint.path_parameters, *parameters_of(endpoint.sql))))


def build(service: Service, path: Path | str) -> sqlite3.Connection:
    """Create the database of ``service`` in the file ``path`` or in ":memory:". Raises ``SqlError``."""
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=MEMORY")
        connection.execute("PRAGMA synchronous=OFF")  # an attempt that is killed starts over
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA max_page_count={MAX_DATABASE_PAGES}")
        _confine(connection)
        with _bounded(connection):
            connection.executescript(service.ddl)
            for table, rows in service.rows.items():
                for row in rows:
                    columns = ", ".join(_quoted(name) for name in row)
                    marks = ", ".join("?" * len(row))
                    values = tuple(row.values())
                    connection.execute(f"INSERT INTO {_quoted(table)} ({columns}) VALUES ({marks})", values)
    except BaseException:
        connection.close()
        raise
    return connection


def opened_for_reading(path: Path) -> contextlib.closing[sqlite3.Connection]:
    """The database of an attempt that ended. Raises ``DatabaseDamaged``."""
    if not path.is_file():
        raise DatabaseDamaged(f"the database {path.name} of the attempt is missing")
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error as e:
        raise DatabaseDamaged(str(e)) from e
    _confine(connection)
    return contextlib.closing(connection)


def execute(
    connection: sqlite3.Connection, sql: str, values: Mapping[str, Scalar], *, writes: bool
) -> tuple[tuple[str, ...], list[tuple[Any, ...]], int]:
    """Run one statement: the names of its columns, its rows (at most ``MAX_ROWS`` + 1), and how many rows it changed.

    Its changes are kept, or none of them. Raises ``SqlError``; without ``writes`` for a statement that writes.
    """
    before = connection.total_changes
    with _bounded(connection):
        connection.execute("BEGIN" if writes else "BEGIN DEFERRED")
        try:
            cursor = connection.execute(sql, dict(values))
            rows = cursor.fetchmany(MAX_ROWS + 1)
            columns = tuple(column[0] for column in cursor.description or ())
            cursor.close()
            changed = connection.total_changes - before
            if changed and not writes:
                raise sqlite3.OperationalError("a GET endpoint must not write")
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise
    return columns, rows, changed


def problem_of(connection: sqlite3.Connection, sql: str, *, writes: bool) -> str | None:
    """Why sqlite does not accept the statement ``sql``, or ``None``; it is compiled, not run.

    Without ``writes`` only a query is accepted.
    """
    written: list[int] = []

    def authorize(action: int, first: str | None, second: str | None, *more: str | None) -> int:
        if action not in _OF_QUERIES:
            written.append(action)
        return _authorize(action, first, second, *more)

    connection.set_authorizer(authorize)
    try:
        with _bounded(connection):
            connection.execute(f"EXPLAIN {sql}", dict.fromkeys(parameters_of(sql))).close()
    except SqlError as e:
        return str(e)
    finally:
        connection.set_authorizer(_authorize)
    return "it is not a query: it writes" if written and not writes else None


def as_rows(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Rows as JSON objects, as many as an answer may have; bytes become their hexadecimal form."""
    shown: list[dict[str, Any]] = []
    left = MAX_ANSWER_CHARS
    for row in rows[:MAX_ROWS]:
        plain = {name: _as_json(value) for name, value in zip(columns, row, strict=True)}
        left -= len(str(plain))
        if left < 0:
            break
        shown.append(plain)
    return shown


def _as_json(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value


@contextlib.contextmanager
def _bounded(connection: sqlite3.Connection) -> Iterator[None]:
    deadline = time.monotonic() + STATEMENT_S
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        yield
    except sqlite3.Error as e:
        if type(e) is sqlite3.DatabaseError and e.sqlite_errorcode in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            raise DatabaseDamaged(str(e)) from e
        took_too_long = str(e) == "interrupted"
        raise SqlError(f"the statement took longer than {STATEMENT_S:g} s" if took_too_long else str(e)) from e
    except (OverflowError, ValueError, sqlite3.Warning) as e:  # an integer beyond 64 bits; two statements in one
        raise SqlError(str(e)) from e
    finally:
        connection.set_progress_handler(None, 0)


def _confine(connection: sqlite3.Connection) -> None:
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.set_authorizer(_authorize)


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action in _FORBIDDEN or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _FORBIDDEN_FUNCTIONS):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
