"""Documents from files, folders, the standard library, or a data set of the Hugging Face hub.

Documents are read one at a time, in an order that depends on names only, so the same sources give the same corpus on
every machine. A long one comes in parts: memory never holds the corpus, nor a whole text file.
"""

from __future__ import annotations

import platform
import re
import shlex
import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from autoresearch.data.decoding import replace_marks
from autoresearch.data.document import Document, LeftOut, describe_kinds
from autoresearch.data.readers import SUPPORTED, Reader, kind_of, load_hub, readable
from autoresearch.errors import CorpusError

NOT_STDLIB = re.compile(
    r"site-packages|dist-packages|__pycache__"  # installed packages and compiled files
    r"|test|tests|idle_test"  # deliberately broken encodings and syntax
    r"|config-.*|_sysconfigdata.*|sitecustomize\.py"  # contain paths of this installation
)
GIVE_SOURCES = "give files or folders, or --stdlib, or --hf NAME"
MATCHES_NOTHING = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources that the user gave: files and folders in that order, then the standard library, then the data set.

    ``hf`` is ``NAME`` or ``NAME:CONFIG``. ``field`` holds the text of a line of .jsonl or a row; lines and rows without
    usable text are an error, or left out with ``skip_bad_lines``. Raises ``CorpusError`` if there are no sources.
    """

    paths: tuple[Path, ...] = ()
    stdlib: bool = False
    hf: str | None = None
    field: str = "text"
    skip_bad_lines: bool = False

    def __post_init__(self) -> None:
        if not (self.paths or self.stdlib or self.hf):
            raise CorpusError("no source of text is given", hint=GIVE_SOURCES)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the sources, without the folders that contain them."""
        names = [_basename(path) for path in self.paths]
        if self.stdlib:
            names.append(f"python-{platform.python_version()}-stdlib")
        if self.hf:
            names.append(self.hf)
        return tuple(replace_marks(name)[0] for name in names)

    def documents(self, left_out: LeftOut | None = None) -> Iterator[Document]:
        """Every document, blank ones included; ``left_out`` counts what is left out.

        Raises ``CorpusError`` for a source that is missing, unreadable, of an unsupported kind or malformed (with the
        name of the file and the line or row), ``MissingPackage`` for one that needs an optional package.
        """
        reader = Reader(LeftOut() if left_out is None else left_out, self.field, self.skip_bad_lines)
        found = [_documents_at(path, reader) for path in self.paths]
        if self.stdlib:
            found.append(_stdlib(reader))
        if self.hf:
            found.append(_hub(self.hf, reader))
        return chain.from_iterable(found)


def _documents_at(path: Path, reader: Reader) -> Iterator[Document]:
    others: Counter[str] = Counter()
    with readable(path):
        if not path.exists():
            nearest = next(place for place in path.absolute().parents if place.exists())
            hint = f"see what is there: ls {shlex.quote(str(nearest))}; {GIVE_SOURCES}"
            raise CorpusError(f"{path} does not exist", hint=hint)
        by_name = not path.is_dir()
        if by_name and kind_of(path) is None:
            raise CorpusError(f"{path} is not a supported kind of file", hint=f"supported are {SUPPORTED}")
        files = list(_walk(path, _basename(path), others))
    if not files:
        hint = f"supported are {SUPPORTED}; hidden files are ignored"
        raise CorpusError(f"no text in {path}: {describe_kinds(others) or 'no files'}", hint=hint)
    reader.left_out.files.update(others)
    for name, file in files:
        yield from reader.read_file(name, file, by_name=by_name)


def _walk(
    root: Path, name: str, others: Counter[str], skip: re.Pattern[str] = MATCHES_NOTHING
) -> Iterator[tuple[str, Path]]:
    """Names and paths of the supported files below ``root``, sorted. Hidden ones and matches of ``skip`` are left out.

    ``others`` counts files of other kinds by suffix. Links are followed, but each folder is entered once, so that a
    link to a parent ends.
    """
    entered = set()
    todo = [(name, root)]
    while todo:
        name, path = todo.pop()
        with readable(path):
            if not path.is_dir():
                if kind_of(path):
                    yield name, path
                else:
                    others[replace_marks(path.suffix.lower())[0] or "no suffix"] += 1
                continue
            status = path.stat()
            if (status.st_dev, status.st_ino) not in entered:
                entered.add((status.st_dev, status.st_ino))
                inside = sorted(entry.name for entry in path.iterdir())
                kept = (entry for entry in inside if not entry.startswith(".") and not skip.fullmatch(entry))
                todo += reversed([(f"{name}/{entry}", path / entry) for entry in kept])


def _stdlib(reader: Reader) -> Iterator[Document]:
    """The running interpreter's standard library, named relative to its root: the same text for the same release."""
    root = Path(sysconfig.get_path("stdlib"))
    files = [(name, path) for name, path in _walk(root, "stdlib", Counter(), NOT_STDLIB) if path.suffix == ".py"]
    if not files:
        raise CorpusError(f"this Python has no library sources in {root}", hint="give files or folders, or --hf NAME")
    for name, path in files:
        yield from reader.read_file(name, path, by_name=False)


def _hub(spec: str, reader: Reader) -> Iterator[Document]:
    yield from reader.read_rows(load_hub(spec), spec, f"data set {spec}")


def _basename(path: Path) -> str:
    """The last part of a path, also of ``.`` and ``..``; links are not resolved."""
    return path.name if path.name not in ("", "..") else path.resolve().name
