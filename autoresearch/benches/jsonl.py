"""Read JSON and JSON Lines from files of other programs: each problem names file, line and value."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from autoresearch.errors import CorpusError
from autoresearch.hints import hint_after

MAX_LINE_BYTES = 64 << 20  # a published attempt holds its whole conversation on one line
SHOWN_CHARS = 120


class NotJson(ValueError):
    """A text that is not one JSON value as RFC 8259 has it; the message says what is wrong."""


def decode_json(text: str) -> Any:
    """Decode one JSON value. Raises ``NotJson`` also for NaN, a key that occurs twice, and half a surrogate pair."""
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
        json.dumps(value, ensure_ascii=False).encode()
    except NotJson:
        raise
    except UnicodeEncodeError as e:
        raise NotJson("a text holds half a surrogate pair") from e
    except RecursionError as e:
        raise NotJson("it is nested too deeply") from e
    except ValueError as e:
        raise NotJson(str(e)) from e
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not a JSON value")


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise NotJson(f"the key {twice[:SHOWN_CHARS]!r} occurs twice in one object")
    return value


def read_objects(file: Path, hint: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a JSON Lines file with their line numbers; blank lines are skipped.

    Raises ``CorpusError`` with file and line, and ``hint``, for everything else.
    """
    try:
        with file.open("rb") as stream:
            number = 0
            while raw := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(raw) > MAX_LINE_BYTES:
                    raise CorpusError(f"{file}: line {number} has more than {MAX_LINE_BYTES >> 20} MiB", hint=hint)
                if raw.strip():
                    yield number, _decode_object(raw, f"{file}: line {number}", hint)
    except OSError as e:
        raise CorpusError(f"cannot read {file}: {e.strerror}", hint=hint_after(e, file, "read")) from e


def _decode_object(raw: bytes, where: str, hint: str) -> dict[str, Any]:
    try:
        value = decode_json(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as e:
        raise CorpusError(f"{where}: byte {e.start} is not UTF-8", hint=hint) from e
    except NotJson as e:
        raise CorpusError(f"{where}: {e}", hint=hint) from e
    if not isinstance(value, dict):
        raise CorpusError(f"{where}: a JSON object is expected, not {shown(value)}", hint=hint)
    return value


def shown(value: object) -> str:
    """A value in printable ASCII, short enough for a message."""
    text = ascii(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."
