"""The modules beside a script that it imports, found in its ``import`` statements; nothing is executed."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

MAX_MODULES = 2_000
MAX_SOURCE_BYTES = 4 << 20


def local_modules(scripts: Iterable[Path], roots: Sequence[Path]) -> set[Path]:
    """The files below ``roots`` that these scripts import, and what those import in turn, without the scripts.

    Not found: a module whose name is computed, and one that is installed. What cannot be parsed imports nothing.
    """
    first = set(scripts)
    found, waiting = set(first), list(first)
    while waiting and len(found) < MAX_MODULES:
        file = waiting.pop()
        new = {path for path in _imported_by(file, roots) if path not in found}
        found |= new
        waiting += new
    return found - first


def module_files(name: str, folder: Path) -> Iterator[Path]:
    """The files that importing the module ``name`` from ``folder`` reads: those of its packages and its own."""
    for part in name.split("."):
        module, folder = folder / f"{part}.py", folder / part
        if (package := folder / "__init__.py").is_file():
            yield package
        elif module.is_file():
            yield module
            return
        elif not folder.is_dir():
            return


def _imported_by(file: Path, roots: Sequence[Path]) -> Iterator[Path]:
    try:
        with file.open("rb") as opened, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of the script are the business of its own run
            tree = ast.parse(opened.read(MAX_SOURCE_BYTES))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                for name in names:
                    yield from _below(name.name, roots)
            case ast.ImportFrom(module=module, names=names, level=level):
                places = [file.parents[level - 1]] if 0 < level <= len(file.parents) else roots
                for name in names:  # a name may be a module of the package
                    yield from _below(".".join(filter(None, (module, name.name))), places)


def _below(name: str, roots: Sequence[Path]) -> Iterator[Path]:
    for root in roots:
        yield from module_files(name, root)
