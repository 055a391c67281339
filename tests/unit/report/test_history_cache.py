"""A report with a cache is the report without it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoresearch.core.records import Event, encode
from autoresearch.report import load, render_report, summarise, summary_json
from autoresearch.report.native import build_history
from autoresearch.storage import fold_cache
from autoresearch.storage.journal import seal
from autoresearch.storage.run_dir import HISTORY_CACHE, TRAJECTORY
from tests.examples import examples
from tests.unit.core.test_trajectory import night as night_of

ASSETS = Path(__file__).parents[2] / "assets"
EVIDENCE = Path(__file__).parents[3] / "evidence"
LOGS = [*sorted(ASSETS.glob("trajectory*.jsonl")), *sorted(EVIDENCE.glob("*/trajectory.jsonl"))]


@pytest.fixture(autouse=True)
def cache_of_short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_cache, "MIN_BYTES", 1)


def write(run_dir: Path, records: Sequence[Event], begin: int = 0) -> None:
    with (run_dir / TRAJECTORY).open("ab" if begin else "wb") as file:
        file.writelines(seal(n, encode(record)) for n, record in enumerate(records[begin:], begin))


def texts(run_dir: Path) -> tuple[str, str]:
    history = load(run_dir)
    summary = summarise(history)
    return summary_json(summary), render_report(summary, history, width=100, color=False, writer_alive=None)


@given(st.integers(0, 40), st.data())
@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cache_and_rest_give_what_everything_gives(tmp_path: Path, seed: int, data: st.DataObject) -> None:
    records = night_of(seed)
    cuts = sorted(data.draw(st.lists(st.integers(1, len(records)), min_size=1, max_size=3)))
    (tmp_path / HISTORY_CACHE).unlink(missing_ok=True)
    before = 0
    for cut in cuts:
        write(tmp_path, records[:cut], before)
        assert load(tmp_path) == build_history(records[:cut])
        assert (tmp_path / HISTORY_CACHE).exists()
        before = cut


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.parent.name + log.stem)
def test_every_kept_log_has_the_same_report_again(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = load(log)
    shutil.copy(log, tmp_path / TRAJECTORY)
    first = texts(tmp_path)
    module = import_module("autoresearch.report.load")
    monkeypatch.setattr(module, "decode", lambda _: pytest.fail("it was read from its beginning"))
    assert texts(tmp_path) == first
    assert load(tmp_path) == alone
    assert not (log.parent / HISTORY_CACHE).exists(), "a bare file has no cache"


@pytest.mark.parametrize("place", [0.0, 0.01, 0.1, 0.5, 0.9, 0.999])
def test_a_flipped_byte_changes_nothing(tmp_path: Path, night, place: float) -> None:
    night.save(tmp_path)
    first, cache = texts(tmp_path), tmp_path / HISTORY_CACHE
    content = bytearray(cache.read_bytes())
    content[int(place * len(content))] ^= 1
    cache.write_bytes(content)
    assert texts(tmp_path) == first
    assert cache.read_bytes() != content, "it was written again"


def test_rows_of_the_wrong_type_with_the_right_hash_change_nothing(tmp_path: Path, night) -> None:
    night.save(tmp_path)
    first, cache = texts(tmp_path), tmp_path / HISTORY_CACHE
    _, header, state = cache.read_bytes().split(b"\n")
    fields = json.loads(state)
    fields["rows"][0]["val_bpb"] = "2.0"
    text = header + b"\n" + json.dumps(fields).encode()
    cache.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)
    assert texts(tmp_path) == first


def test_damage_after_the_cached_part_is_reported_as_without_a_cache(tmp_path: Path, night) -> None:
    night.save(tmp_path)
    file = tmp_path / TRAJECTORY
    whole = file.read_bytes()
    texts(tmp_path)
    for tail in (b"x\n", b"\n\n", seal(99, '{"a":1}'), seal(0, '{"a":1}'), b'{"seq":', b"\0" * 50, b"  "):
        file.write_bytes(whole + tail)
        with_cache = texts(tmp_path)
        (tmp_path / HISTORY_CACHE).rename(tmp_path / "kept")
        assert texts(tmp_path) == with_cache
        (tmp_path / "kept").rename(tmp_path / HISTORY_CACHE)


def test_a_changed_log_is_read_from_its_beginning(tmp_path: Path, night, hybrid_night) -> None:
    night.save(tmp_path)
    texts(tmp_path)
    file = tmp_path / TRAJECTORY
    file.write_bytes(file.read_bytes()[:-1000] + b"#" * 1000)
    with_cache = texts(tmp_path)
    (tmp_path / HISTORY_CACHE).unlink()
    assert texts(tmp_path) == with_cache
