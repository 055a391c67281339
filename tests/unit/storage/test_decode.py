"""Decoding a journal: records in their order, and an error that names file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoresearch.core.records import Resumed, encode
from autoresearch.errors import JournalDamaged
from autoresearch.storage.decode import decode_lines, decode_trajectory


def number(payload: bytes) -> int:
    if not payload.isdigit():
        raise JournalDamaged("n: not a number")
    return int(payload)


def test_the_records_come_in_the_order_of_their_lines():
    assert list(decode_lines([b"3", b"1", b"2"], number, "a.jsonl", hint="")) == [3, 1, 2]


@pytest.mark.parametrize(("first_line", "line"), [(1, 3), (10, 12)])
def test_an_error_names_the_file_the_line_and_the_hint(first_line: int, line: int):
    decoded = decode_lines([b"1", b"2", b"x"], number, "a.jsonl", hint="copy it", first_line=first_line)
    assert [next(decoded), next(decoded)] == [1, 2]
    with pytest.raises(JournalDamaged) as refused:
        next(decoded)
    assert (refused.value.what, refused.value.hint) == (f"a.jsonl: line {line}: n: not a number", "copy it")


def test_a_trajectory_of_another_version_is_refused_with_the_way_to_start_over(tmp_path: Path):
    good = encode(Resumed(ts="2026-11-21T22:00:00.000Z", paused_s=1.0)).encode()
    file = tmp_path / "trajectory.jsonl"
    assert [r.paused_s for r in decode_trajectory([good], file)] == [1.0]
    with pytest.raises(JournalDamaged) as refused:
        list(decode_trajectory([good, good.replace(b"paused_s", b"paused_min")], file))
    assert refused.value.what.startswith(f"{file}: line 2: resumed.paused_s: Field required")
    assert "`autoresearch run --fresh`" in refused.value.hint
