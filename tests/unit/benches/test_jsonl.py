"""JSON Lines of other programs: what is read, and how everything else is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoresearch.benches import jsonl
from autoresearch.benches.jsonl import NotJson, decode_json, read_objects, shown
from autoresearch.errors import CorpusError


def test_objects_come_with_their_line_numbers_and_blank_lines_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n  \n{"b": 2}')
    assert list(read_objects(tmp_path / "f", "hint")) == [(1, {"a": 1}), (4, {"b": 2})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[1]", r"line 2: a JSON object is expected, not \[1\]"),
        (b"{", "line 2"),
        (b"\xff", "line 2: byte 0 is not UTF-8"),
        (b'{"a": NaN}', "line 2: NaN is not a JSON value"),
        (b'{"a": 1, "a": 2}', "line 2: the key 'a' occurs twice"),
        (b'{"a": "\\ud800"}', "line 2: .*surrogate"),
        (b"[" * 100_000, "line 2: .*nested"),
        (b'{"a": "' + b"x" * 200 + b'"}', "line 2 has more than"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, message: str) -> None:
    if b"xxx" in content:
        monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 100)
    (tmp_path / "f").write_bytes(b"{}\n" + content + b"\n")
    with pytest.raises(CorpusError, match=message) as e:
        list(read_objects(tmp_path / "f", "the hint"))
    assert (str(tmp_path / "f") in e.value.what, e.value.hint) == (True, "the hint")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(CorpusError, match="cannot read"):
            list(read_objects(path, "hint"))


def test_a_value_alone() -> None:
    assert decode_json('{"a": [1, null, "\\u00e9"]}') == {"a": [1, None, "\u00e9"]}
    with pytest.raises(NotJson):
        decode_json("Infinity")


def test_a_value_in_a_message_is_short_and_printable() -> None:
    assert shown("\x1b[2J") == r"'\x1b[2J'"
    assert len(shown("x" * 10_000)) < 200
