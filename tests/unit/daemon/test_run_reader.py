"""A run read with a cache is the run read without it, whatever the cache contains."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoresearch.core.records import Event, LoopComplete, Started, Stopped, encode
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.run_reader import read_run, run_cache, view_run
from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.storage import fold_cache
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import RUN_CACHE, TRAJECTORY
from autoresearch.storage.sealed_line import seal
from tests.examples import examples
from tests.unit.core.test_trajectory import night

SEEDS = st.integers(0, 50)


@pytest.fixture(autouse=True)
def cache_of_short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_cache, "MIN_BYTES", 1)


def write(run_dir: Path, records: Sequence[Event], begin: int = 0) -> None:
    with (run_dir / TRAJECTORY).open("ab" if begin else "wb") as file:
        file.writelines(seal(n, encode(record)) for n, record in enumerate(records[begin:], begin))


def read(run_dir: Path) -> tuple[Trajectory, list[Event], bool]:
    """What a start of the daemon reads, and whether it used the cache."""
    cache, states = run_cache(run_dir), list[Any]()
    state_of = cache.state
    cache.state = lambda prefix: states.append(state_of(prefix)) or states[-1]  # type: ignore[method-assign]
    with closing(Journal(run_dir / TRAJECTORY, verified=cache.prefix)) as journal:
        trajectory, ends = read_run(journal, cache)
        trajectory.iterations = type(trajectory.iterations)(list(trajectory.iterations))
    return trajectory, ends, states != [None]


def assert_is_fold(found: Trajectory, ends: Sequence[Event], records: Sequence[Event]) -> None:
    expected = Trajectory.fold(records)
    for name in (f.name for f in fields(Trajectory)):
        assert getattr(found, name) == getattr(expected, name), name
    regular = [r for r in records if isinstance(r, Started | Stopped | LoopComplete)]
    last = [] if not records or regular[-1:] == [records[-1]] else [records[-1]]
    assert list(ends) == [*regular, *last]


@given(SEEDS, st.data())
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cache_and_rest_give_what_everything_gives(tmp_path: Path, seed: int, data: st.DataObject) -> None:
    records = night(seed)
    cuts = sorted(data.draw(st.lists(st.integers(1, len(records)), min_size=1, max_size=3)))
    before = 0
    (tmp_path / RUN_CACHE).unlink(missing_ok=True)
    for cut in cuts:
        write(tmp_path, records[:cut], before)
        trajectory, ends, used = read(tmp_path)
        assert_is_fold(trajectory, ends, records[:cut])
        assert used == bool(before)
        before = cut


def somewhere(content: bytes | bytearray, data: st.DataObject) -> int:
    """A place in the content, whose length depends on measured times."""
    return int(data.draw(st.floats(0, 1, exclude_max=True)) ** 2 * len(content))


def flip(cache: Path, data: st.DataObject) -> None:
    content = bytearray(cache.read_bytes())
    content[somewhere(content, data)] ^= data.draw(st.integers(1, 255))
    cache.write_bytes(content)


def cut(cache: Path, data: st.DataObject) -> None:
    content = cache.read_bytes()
    cache.write_bytes(content[: somewhere(content, data)])


def extend(cache: Path, data: st.DataObject) -> None:
    cache.write_bytes(cache.read_bytes() + data.draw(st.binary(min_size=1, max_size=9)))


def other_content(cache: Path, data: st.DataObject) -> None:
    cache.write_bytes(data.draw(st.sampled_from([b"", b"\n", b"{}", b"\0" * 4096, b"[" * 5000, b"\x80\x04K\x01."])))


def sealed(cache: Path, header: Any, state: Any) -> None:
    text = f"{json.dumps(header)}\n{json.dumps(state)}".encode()
    cache.write_bytes(hashlib.sha256(text).hexdigest().encode() + b"\n" + text)


def other_state(cache: Path, data: st.DataObject) -> None:
    """Hashes that are right for a state of the wrong types."""
    header, fields_of_state = map(json.loads, cache.read_bytes().split(b"\n")[1:])
    name = data.draw(st.sampled_from(sorted(fields_of_state)))
    wrong: Any = data.draw(st.sampled_from(["x", -1.5, [[]], {"a": 1}, [{"iter": "1"}], True]))
    sealed(cache, header, {**fields_of_state, name: wrong, "another": 1})


def other_header(cache: Path, data: st.DataObject) -> None:
    """Hashes that are right for a header of another prefix."""
    header, fields_of_state = map(json.loads, cache.read_bytes().split(b"\n")[1:])
    name = data.draw(st.sampled_from(sorted(header)))
    value = header[name]
    header[name] = data.draw(st.sampled_from([value + 1, -value, 10**30, None])) if isinstance(value, int) else "0" * 64
    sealed(cache, header, fields_of_state)


def writable_by_others(cache: Path, data: st.DataObject) -> None:
    cache.chmod(data.draw(st.sampled_from([0o664, 0o646, 0o666])))


def linked(cache: Path, data: st.DataObject) -> None:
    other = cache.with_name("elsewhere")
    other.unlink(missing_ok=True)
    if data.draw(st.booleans()):
        os.link(cache, other)
    else:
        cache.rename(other)
        cache.symlink_to(other)


def a_pipe(cache: Path, data: st.DataObject) -> None:
    cache.unlink()
    os.mkfifo(cache)


def a_directory(cache: Path, data: st.DataObject) -> None:
    cache.unlink()
    cache.mkdir()


DAMAGE = [flip, cut, extend, other_content, other_state, other_header, writable_by_others, linked, a_pipe, a_directory]


@pytest.mark.parametrize("damage", DAMAGE)
@given(seed=SEEDS, data=st.data())
@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_bad_cache_changes_nothing(tmp_path: Path, damage: Any, seed: int, data: st.DataObject) -> None:
    records, cache = night(seed), tmp_path / RUN_CACHE
    if cache.is_dir():
        cache.rmdir()
    cache.unlink(missing_ok=True)
    at = data.draw(st.integers(1, len(records)))
    write(tmp_path, records[:at])
    read(tmp_path)
    damage(cache, data)
    write(tmp_path, records, at)
    trajectory, ends, _ = read(tmp_path)
    assert_is_fold(trajectory, ends, records)


def test_the_cache_of_another_run_or_of_other_code_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, night(1))
    read(tmp_path)
    assert read(tmp_path)[2]
    monkeypatch.setattr(fold_cache, "fingerprint", lambda: "other code")
    assert not read(tmp_path)[2]
    assert read(tmp_path)[2], "it was written again"
    monkeypatch.undo()
    monkeypatch.setattr(fold_cache, "MIN_BYTES", 1)
    other = night(2)
    write(tmp_path, other)
    trajectory, ends, used = read(tmp_path)
    assert not used
    assert_is_fold(trajectory, ends, other)


def test_without_the_code_to_compare_or_the_right_to_write_there_is_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, night(1))
    monkeypatch.setattr(fold_cache, "fingerprint", lambda: "")
    read(tmp_path)
    assert not (tmp_path / RUN_CACHE).exists()
    monkeypatch.setattr(fold_cache, "fingerprint", lambda: "code")
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(tmp_path).st_uid + 1)
    read(tmp_path)
    assert not (tmp_path / RUN_CACHE).exists(), "the journal belongs to another user"


def test_a_short_run_has_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    write(tmp_path, night(1))
    read(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [TRAJECTORY]


def test_an_iteration_whose_line_was_changed_or_whose_journal_is_closed_is_not_read(tmp_path: Path) -> None:
    records = night(1)
    write(tmp_path, records)
    with closing(Journal(tmp_path / TRAJECTORY)) as journal:
        trajectory, _ = read_run(journal, run_cache(tmp_path))
        assert trajectory.iterations == Trajectory.fold(records).iterations
        content = (tmp_path / TRAJECTORY).read_bytes()
        with (tmp_path / TRAJECTORY).open("r+b") as file:
            file.write(b"#" * len(content))
        with pytest.raises(JournalError, match="changed while it was read"):
            list(trajectory.iterations)
    with pytest.raises(JournalError, match="Bad file descriptor"):
        list(trajectory.iterations)


class TestViewRun:
    """What ``doctor`` reads of a run that a daemon may write."""

    @given(SEEDS)
    @settings(max_examples=examples(10), suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_it_is_what_a_start_reads_and_changes_nothing(self, tmp_path: Path, seed: int) -> None:
        records = night(seed)
        write(tmp_path, records)
        with (tmp_path / TRAJECTORY).open("ab") as file:
            file.write(seal(len(records), encode(records[-1]))[:-9])  # a record that is being written
        before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
        trajectory, ends = view_run(tmp_path / TRAJECTORY)
        trajectory.iterations = type(trajectory.iterations)(list(trajectory.iterations))
        assert_is_fold(trajectory, ends, records)
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before

    def test_a_run_that_has_not_begun_is_empty(self, tmp_path: Path) -> None:
        assert view_run(tmp_path / TRAJECTORY) == (Trajectory(), [])

    def test_damage_is_named(self, tmp_path: Path) -> None:
        write(tmp_path, night(1))
        log = tmp_path / TRAJECTORY
        log.write_bytes(log.read_bytes().replace(b'"seq":3,', b'"seq":9,'))
        with pytest.raises(JournalDamaged, match="line 4 "):
            view_run(log)
