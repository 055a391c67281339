"""Documents of one file or one data set: text, .jsonl, .parquet, compressed or not, and the Hugging Face hub.

One rule for every row: its field (``text`` unless another is chosen) must be a string. A row without one is an error,
or is left out and counted where the user chose that. Memory holds a part of a text file, or one line or a few rows.
"""

from __future__ import annotations

import gzip
import importlib
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import IO, Any, cast

from autoresearch.data.decoding import MOST_UNDECODABLE, decode_lines, decode_parts, replace_marks, undecodable_share
from autoresearch.data.document import Document, LeftOut, split_document
from autoresearch.errors import CorpusError, missing_extra
from autoresearch.hints import explain

TEXT_SUFFIXES = (".txt", ".md", ".py", ".jsonl")
COMPRESSED = (".gz", ".zst")
SUFFIXES = (*TEXT_SUFFIXES, ".parquet")
SUPPORTED = f"{' '.join(SUFFIXES)}, and all but .parquet also compressed as {' or '.join(COMPRESSED)}"
ROWS_PER_READ = 64
LONGEST_LINE = 1 << 28  # bytes of memory of a line of .jsonl, which is held about three times
SHOWN_NAMES, SHOWN_CHARS = 12, 60  # of the fields of a row, in an error
STRING_COLUMNS = ("string", "large_string", "dictionary<values=string", "dictionary<values=large_string")
ROW_HINT = "choose the field with --field NAME, or leave such lines out with --skip-bad-lines"
ENCODING_HINT = "convert it to UTF-8, for example with iconv; UTF-16 and UTF-32 need a byte order mark"


def kind_of(path: Path) -> str | None:
    """The suffix that decides how a file is read, without that of a compression; ``None``: it is not read."""
    suffix = path.suffix.lower()
    if suffix in COMPRESSED:
        inner = Path(path.stem).suffix.lower()
        return inner if inner in TEXT_SUFFIXES else None
    return suffix if suffix in SUFFIXES else None


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads files and rows. ``field`` holds the text of a row; ``left_out`` counts what is left out."""

    left_out: LeftOut
    field: str = "text"
    skip_bad_lines: bool = False

    def read_file(self, name: str, path: Path, *, by_name: bool) -> Iterator[Document]:
        """The documents of a file.

        A file that is not text is left out if it is in a folder. Raises ``CorpusError`` for one that the user gave
        ``by_name``, and for one that is unreadable or malformed.
        """
        if not path.is_file():  # a broken link, or a pipe that would block
            raise CorpusError(f"{path} is not a regular file", hint="remove it, or give the files one by one")
        with readable(path):
            if kind_of(path) == ".parquet":
                yield from self._parquet(name, path)
                return
            with open_source(path) as stream:
                undecodable = undecodable_share(*replace_marks(next(decode_parts(stream))))
            if undecodable > MOST_UNDECODABLE:
                if by_name:
                    what = (
                        f"{path} is not text in UTF-8: {undecodable:.0%} of its characters are undecodable or control"
                    )
                    raise CorpusError(what, hint=ENCODING_HINT)
                self.left_out.add_undecodable(replace_marks(name)[0])
            elif kind_of(path) == ".jsonl":
                yield from self._jsonl(name, path)
            else:
                yield from _text(name, path)

    def _jsonl(self, name: str, path: Path) -> Iterator[Document]:
        number = 0
        with open_source(path) as stream:
            lines = decode_lines(stream, LONGEST_LINE)
            for number, line in enumerate(lines, 1):
                if line is None or not line.isspace():
                    yield from self._row(_parsed(line), f"{name}:{number}", f"{path}, line {number}")

    def read_rows(self, rows: Iterable[object], name: str, what: str) -> Iterator[Document]:
        """The documents of a data set's rows."""
        for number, row in enumerate(rows, 1):
            yield from self._row(row, f"{name}:{number}", f"{what}, row {number}")

    def _row(self, row: object, name: str, where: str) -> Iterator[Document]:
        text = row.get(self.field) if isinstance(row, dict) else None
        if isinstance(text, str):
            yield from split_document(name, text)
        elif self.skip_bad_lines:
            self.left_out.bad_lines += 1
        else:
            raise CorpusError(f"{where}: {_problem(row, self.field)}", hint=ROW_HINT)

    def _parquet(self, name: str, path: Path) -> Iterator[Document]:
        arrow = package("pyarrow", extra="parquet")
        package("pyarrow.parquet", extra="parquet")
        row = 0
        try:
            with arrow.parquet.ParquetFile(path) as file:
                self._check_column(path, {column.name: str(column.type) for column in file.schema_arrow})
                for batch in file.iter_batches(ROWS_PER_READ, columns=[self.field]):
                    # as bytes: the file may hold invalid UTF-8
                    for data in batch.column(0).cast(arrow.large_string()).cast(arrow.large_binary()).to_pylist():
                        row += 1
                        text = None if data is None else data.decode(errors="autoresearch.mark")
                        yield from self._row({self.field: text}, f"{name}:{row}", f"{path}, row {row}")
        except arrow.ArrowException as e:
            raise CorpusError(f"{path}, after row {row}: not a readable parquet file: {e}") from e

    def _check_column(self, path: Path, columns: dict[str, str]) -> None:
        if not columns.get(self.field, "").startswith(STRING_COLUMNS):
            found = _few([f"{name} ({kind})" for name, kind in columns.items()])
            hint = "choose the column with --field NAME, or convert it"
            raise CorpusError(f"{path} has no column `{self.field}` of strings, only {found}", hint=hint)


@dataclass(frozen=True, slots=True)
class Unparsed:
    """A line that is not JSON, with the reason."""

    reason: str


def _parsed(line: str | None) -> object:
    if line is None:
        return Unparsed(f"needs more than {LONGEST_LINE:,} bytes of memory; a text of that size can be a .txt file")
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as e:
        if not line.endswith("\n") and line.lstrip().startswith("{"):
            return Unparsed("is cut off: the file ends inside it")
        if isinstance(e, json.JSONDecodeError) and _ends_inside(e, line):
            return Unparsed("is cut off: it ends inside its JSON text")
        where = f": {e.msg}, at character {e.pos + 1}" if isinstance(e, json.JSONDecodeError) else " that can be read"
        return Unparsed(f"is not JSON{where}")


def _ends_inside(error: json.JSONDecodeError, line: str) -> bool:
    """Whether the text was right up to its end, and only that is missing."""
    return error.pos >= len(line.rstrip()) or error.msg.startswith("Unterminated string")


def _problem(row: object, field: str) -> str:
    """Why a row has no usable text."""
    if isinstance(row, Unparsed):
        return f"the line {row.reason}"
    if not isinstance(row, dict):
        return f"not an object with a string `{field}`"
    if field not in row:
        return f"no field `{field}`" + (f", only {_few(sorted(row))}" if row else ": the object is empty")
    return f"field `{field}` is {'null' if row[field] is None else type(row[field]).__name__}, not a string"


def _few(names: Sequence[str]) -> str:
    """The first names, each shortened, and how many more there are."""
    shown = ", ".join(name[:SHOWN_CHARS] for name in names[:SHOWN_NAMES])
    return shown if len(names) <= SHOWN_NAMES else f"{shown} and {len(names) - SHOWN_NAMES:,} more"


def _text(name: str, path: Path) -> Iterator[Document]:
    """The parts of a text file. Raises ``CorpusError`` at the end of one whose later parts mostly are not text."""
    name, _ = replace_marks(name)
    characters, not_text = 0, 0.0
    with open_source(path) as stream:
        for number, part in enumerate(decode_parts(stream)):
            text, replaced = replace_marks(part)
            characters, not_text = characters + len(text), not_text + undecodable_share(text, replaced) * len(text)
            yield Document(name, text, replaced, continues=number > 0)
    if not_text > MOST_UNDECODABLE * characters:
        what = f"{path} begins as text, but {not_text / characters:.0%} of its characters are undecodable or control"
        raise CorpusError(what, hint="it is damaged or not a text file: repair it, or move it out of the sources")


@contextmanager
def open_source(path: Path) -> Iterator[IO[bytes]]:
    """The uncompressed bytes of a file. Raises ``CorpusError`` if they cannot be uncompressed, ``MissingPackage``."""
    if path.suffix.lower() == ".zst":
        library = package("zstandard", extra="zst")
        damaged: tuple[type[Exception], ...] = (library.ZstdError,)
    else:
        damaged = (gzip.BadGzipFile, zlib.error, EOFError)
    try:
        with _opened(path) as stream:
            yield stream
    except damaged as e:
        raise CorpusError(f"cannot uncompress {path}: {e}", hint="it is damaged or cut off: get it again") from e


def _opened(path: Path) -> IO[bytes]:
    match path.suffix.lower():
        case ".gz":
            return cast("IO[bytes]", gzip.open(path))
        case ".zst":
            return cast("IO[bytes]", package("zstandard", extra="zst").open(path))
        case _:
            return path.open("rb")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise ``CorpusError`` for every ``OSError`` in the block."""
    try:
        yield
    except OSError as e:
        why, hint = explain(e, path, "read")
        raise CorpusError(f"cannot read {path}: {why}", hint=hint) from e


def package(name: str, *, extra: str) -> ModuleType:
    """Import an optional package. Raises ``MissingPackage``."""
    try:
        return importlib.import_module(name)
    except ImportError as e:
        raise missing_extra("this source", name.partition(".")[0], extra) from e


def load_hub(spec: str) -> Iterable[Any]:
    """The rows of the split ``train`` of a data set, ``NAME`` or ``NAME:CONFIG``."""
    datasets = package("datasets", extra="hf")
    name, _, config = spec.partition(":")
    try:
        return cast("Iterable[Any]", datasets.load_dataset(name, config or None, split="train"))
    except Exception as e:  # a download or a loading script may raise anything
        raise CorpusError(f"cannot load the data set {spec}: {e}", hint="check the name and the network") from e
