"""Read YAML of unknown origin: bounded in size and depth, without aliases and tags, each key once.

Plain scalars follow the core schema of YAML 1.2: only ``true`` and ``false`` are booleans, ``2026-03-01``, ``12:30``,
``no`` and ``012a`` are strings. YAML 1.1 would turn them into a date, 750, false and a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoresearch.errors import CorpusError, missing_extra

MAX_BYTES = 1 << 20
MAX_DEPTH = 24
_FORMAT = "docs/benches.md, section Suite workflow, describes the format"


@dataclass(frozen=True, slots=True)
class Document:
    """A value of dicts, lists and scalars, and the line of each of its parts by its path."""

    path: Path
    value: Any
    lines: dict[tuple[str | int, ...], int]

    def error(self, where: tuple[str | int, ...], what: str) -> CorpusError:
        """The error for the part at ``where``, with file, line and field; its line is that of the last known part."""
        known: tuple[str | int, ...] = ()
        for part in where:
            if (*known, part) in self.lines:
                known = (*known, part)
        field = ".".join(str(part) for part in where) or "the document"
        return CorpusError(f"{self.path}, line {self.lines.get(known, 1)}: {field}: {what}", hint=_FORMAT)


def read_yaml(path: Path) -> Document:
    """Read one document. Raises ``CorpusError`` that names file and line, ``MissingPackage`` without PyYAML."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as e:
        raise CorpusError(f"{path} cannot be read: {e.strerror}", hint="check the path and its permissions") from e
    return parse_yaml(data, path)


def parse_yaml(data: bytes, path: Path) -> Document:
    """Parse the content of the file ``path``."""
    try:
        import yaml
    except ImportError as e:
        raise missing_extra("bench run workflow", "PyYAML", "bench") from e
    if len(data) > MAX_BYTES:
        raise CorpusError(f"{path} is larger than {MAX_BYTES:,} bytes", hint="move long texts into workspace files")
    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        raise CorpusError(f"{path} is not UTF-8 at byte {e.start}", hint="save it as UTF-8") from e
    try:
        node = _loader(yaml, path)(text).get_single_node()
    except yaml.YAMLError as e:
        raise CorpusError(f"{path}, {_first_words(e)}", hint=_FORMAT) from e
    lines: dict[tuple[str | int, ...], int] = {}
    value = None if node is None else _construct(node, (), lines, path)
    return Document(path, value, lines)


def _loader(yaml: Any, path: Path) -> Any:
    """A loader that refuses what a small file can become large by, before the node exists."""

    class Bounded(yaml.SafeLoader):  # type: ignore[misc]
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.peek_event()
            line = event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent) or event.anchor:
                what = "anchors and aliases are not supported"
                raise CorpusError(f"{path}, line {line}: {what}", hint="write the value out")
            if event.tag:
                raise CorpusError(
                    f"{path}, line {line}: the tag {event.tag} is not supported", hint="write a plain value"
                )
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise CorpusError(f"{path}, line {line}: nested deeper than {MAX_DEPTH} levels", hint=_FORMAT)
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    return Bounded


def _construct(node: Any, where: tuple[str | int, ...], lines: dict[tuple[str | int, ...], int], path: Path) -> Any:
    lines[where] = node.start_mark.line + 1
    if node.id == "scalar":
        return _text(node, path) if node.style else _plain(node.value)
    if node.id == "sequence":
        return [_construct(item, (*where, i), lines, path) for i, item in enumerate(node.value)]
    mapping: dict[str, Any] = {}
    for key, item in node.value:
        line = key.start_mark.line + 1
        if key.id != "scalar" or not (key.style or isinstance(_plain(key.value), str)):
            raise CorpusError(f"{path}, line {line}: a key must be a string", hint="quote the key")
        if _text(key, path) in mapping:
            raise CorpusError(f"{path}, line {line}: the key {key.value!r} occurs twice", hint="remove one of them")
        name = _text(key, path)
        mapping[name] = _construct(item, (*where, name), lines, path)
    return mapping


def _text(node: Any, path: Path) -> str:
    """A string; the escapes of a surrogate pair, as JSON has them, are one character."""
    try:
        text: str = node.value.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as e:
        line = node.start_mark.line + 1
        raise CorpusError(f"{path}, line {line}: a text holds half a surrogate pair", hint="write the character") from e
    return text


_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")


def _plain(text: str) -> Any:
    """The value of a plain (not quoted) scalar."""
    if text in ("", "~", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if len(text) < 40 and _FLOAT.fullmatch(text) else text


def _first_words(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).split("\n", maxsplit=1)[0]
    return f"line {mark.line + 1}: not YAML: {what}" if mark else f"not YAML: {what}"
