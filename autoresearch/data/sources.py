"""Documents from files, folders, the standard library, or a data set of the Hugging Face hub.

Documents are read one at a time, in an order that depends on names only, so the same sources give the same corpus on
every machine. Memory holds one document (a .txt, .md or .py file is one), never the corpus.
"""

from __future__ import annotations

import importlib
import json
import platform
import re
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import ModuleType

from autoresearch.errors import CorpusError, missing_extra

SUFFIXES = (".txt", ".md", ".py", ".jsonl", ".parquet")
ROWS_PER_READ = 256
STRING_COLUMNS = ("string", "large_string", "dictionary<values=string", "dictionary<values=large_string")

NOT_STDLIB = re.compile(
    r"site-packages|dist-packages|__pycache__"  # installed packages and compiled files
    r"|test|tests|idle_test"  # deliberately broken encodings and syntax
    r"|config-.*|_sysconfigdata.*|sitecustomize\.py"  # contain paths of this installation
)
MATCHES_NOTHING = re.compile(r"(?!)")
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Document:
    """One document. ``text`` always encodes as UTF-8; ``replaced``: U+FFFD replaces bytes that could not be decoded."""

    name: str
    text: str
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources that the user gave: files and folders in that order, then the standard library, then the data set.

    ``hf`` is ``NAME`` or ``NAME:CONFIG``. Raises ``CorpusError`` if there are none.
    """

    paths: tuple[Path, ...] = ()
    stdlib: bool = False
    hf: str | None = None

    def __post_init__(self) -> None:
        if not (self.paths or self.stdlib or self.hf):
            raise CorpusError("no source of text is given", hint="give files or folders, or --stdlib, or --hf NAME")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sources, without the folders that contain them."""
        names = [_basename(path) for path in self.paths]
        if self.stdlib:
            names.append(f"python-{platform.python_version()}-stdlib")
        if self.hf:
            names.append(self.hf)
        return tuple(_encodable(name) for name in names)

    def documents(self) -> Iterator[Document]:
        """Every document that is not empty.

        Raises ``CorpusError`` for a source that is missing, unreadable, of an unsupported kind or malformed (with the
        name of the file and the line or row), ``MissingPackage`` for one that needs an optional package.
        """
        found = [_documents_at(path) for path in self.paths]
        if self.stdlib:
            found.append(_stdlib())
        if self.hf:
            found.append(_hub(self.hf))
        return (document for document in chain.from_iterable(found) if document.text)


def _documents_at(path: Path) -> Iterator[Document]:
    supported = " ".join(SUFFIXES)
    with _readable(path):
        if not path.exists():
            raise CorpusError(f"{path} does not exist", hint="give files or folders, or --stdlib, or --hf NAME")
        if not path.is_dir() and path.suffix.lower() not in SUFFIXES:
            raise CorpusError(f"{path} is not a supported kind of file", hint=f"supported are {supported}")
        files = list(_walk(path, _basename(path)))
    if not files:
        raise CorpusError(f"no text in {path}: it contains no files of {supported}", hint="hidden files are ignored")
    for name, file in files:
        yield from _read(name, file)


def _walk(root: Path, name: str, skip: re.Pattern[str] = MATCHES_NOTHING) -> Iterator[tuple[str, Path]]:
    """Names and paths of the supported files below ``root``, sorted. Hidden ones and matches of ``skip`` are left out.

    Links are followed, but each folder is entered once, so that a link to a parent ends.
    """
    entered = set()
    todo = [(name, root)]
    while todo:
        name, path = todo.pop()
        with _readable(path):
            if not path.is_dir():
                if path.suffix.lower() in SUFFIXES:
                    yield name, path
                continue
            status = path.stat()
            if (status.st_dev, status.st_ino) not in entered:
                entered.add((status.st_dev, status.st_ino))
                inside = sorted(entry.name for entry in path.iterdir())
                kept = (entry for entry in inside if not entry.startswith(".") and not skip.fullmatch(entry))
                todo += reversed([(f"{name}/{entry}", path / entry) for entry in kept])


def _read(name: str, path: Path) -> Iterator[Document]:
    if not path.is_file():  # a broken link, or a pipe that would block
        raise CorpusError(f"{path} is not a regular file", hint="remove it, or give the files one by one")
    with _readable(path):
        match path.suffix.lower():
            case ".jsonl":
                yield from _jsonl(name, path)
            case ".parquet":
                yield from _parquet(name, path)
            case _:
                yield _decoded(name, path.read_bytes())


def _jsonl(name: str, path: Path) -> Iterator[Document]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            document = _decoded(f"{name}:{number}", line)
            try:
                text = json.loads(document.text)["text"]
            except (ValueError, TypeError, KeyError, RecursionError):
                text = None
            if not isinstance(text, str):
                hint = 'each line is one document: {"text": "..."}'
                raise CorpusError(f"{path}, line {number}: not an object with a string `text`", hint=hint)
            yield _document(document.name, text, replaced=document.replaced)


def _parquet(name: str, path: Path) -> Iterator[Document]:
    """Each row of the column ``text``; a null is a document without text."""
    arrow = _package("pyarrow", extra="parquet")
    _package("pyarrow.parquet", extra="parquet")
    row = 0
    try:
        with arrow.parquet.ParquetFile(path) as file:
            _check_column(path, {field.name: str(field.type) for field in file.schema_arrow})
            for batch in file.iter_batches(ROWS_PER_READ, columns=["text"]):
                # as bytes: the file may hold invalid UTF-8
                for text in batch.column(0).cast(arrow.large_string()).cast(arrow.large_binary()).to_pylist():
                    row += 1
                    yield _decoded(f"{name}:{row}", text or b"")
    except arrow.ArrowException as e:
        raise CorpusError(f"{path}, after row {row}: not a readable parquet file: {e}") from e


def _check_column(path: Path, columns: dict[str, str]) -> None:
    kind = columns.get("text", "")
    if not kind.startswith(STRING_COLUMNS):
        found = ", ".join(f"{name} ({kind})" for name, kind in columns.items())
        raise CorpusError(f"{path} has no column `text` of strings, only {found}", hint="rename or convert the column")


def _stdlib() -> Iterator[Document]:
    """The running interpreter's standard library, named relative to its root: the same text for the same release."""
    root = Path(sysconfig.get_path("stdlib"))
    files = [(name, path) for name, path in _walk(root, "stdlib", NOT_STDLIB) if path.suffix == ".py"]
    if not files:
        raise CorpusError(f"this Python has no library sources in {root}", hint="give files or folders instead")
    for name, path in files:
        yield from _read(name, path)


def _hub(spec: str) -> Iterator[Document]:
    datasets = _package("datasets", extra="hf")
    name, _, config = spec.partition(":")
    try:
        rows = datasets.load_dataset(name, config or None, split="train")
    except Exception as e:  # a download or a loading script may raise anything
        raise CorpusError(f"cannot load the data set {spec}: {e}", hint="check the name and the network") from e
    for number, row in enumerate(rows, 1):
        text = row.get("text")
        if not isinstance(text, str):
            raise CorpusError(f"data set {spec}, row {number}: no string `text`, only {', '.join(sorted(row))}")
        yield _document(f"{spec}:{number}", text)


def _decoded(name: str, data: bytes) -> Document:
    try:
        return _document(name, data.decode())
    except UnicodeDecodeError:
        return _document(name, data.decode(errors="replace"), replaced=True)


def _document(name: str, text: str, *, replaced: bool = False) -> Document:
    """A document without a leading byte order mark and without lone surrogates, which UTF-8 cannot encode."""
    text = text.removeprefix("\ufeff")
    clean = _encodable(text)
    return Document(_encodable(name), clean, replaced or clean != text)


def _encodable(text: str) -> str:
    return LONE_SURROGATE.sub("\ufffd", text)


def _basename(path: Path) -> str:
    """The last part of a path, also of ``.`` and ``..``; links are not resolved."""
    return path.name if path.name not in ("", "..") else path.resolve().name


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        raise CorpusError(f"cannot read {path}: {e.strerror or e}", hint="check its permissions and the disk") from e


def _package(name: str, *, extra: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as e:
        raise missing_extra("this source", name.partition(".")[0], extra) from e
