"""The input of `autoresearch watch`: a trajectory that appears, grows, is damaged or replaced; a lock; a flag."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from autoresearch.cli import main
from autoresearch.core.records import Evaluated, Started, TrialStarted, decode, encode
from autoresearch.daemon import service
from autoresearch.errors import JournalError
from autoresearch.report.load import NO_META
from autoresearch.report.watch import follow
from autoresearch.report.watch.follow import Follower
from autoresearch.report.watch.snapshot import SnapshotReader
from autoresearch.storage.journal import read, seal
from autoresearch.storage.lock import DirectoryLock
from autoresearch.storage.run_dir import PAUSE_FLAG
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.fake_meter import fake_power
from autoresearch.testing.recording_observer import RecordingObserver


@pytest.fixture
def run_dir(make_settings) -> Path:
    """A complete run of three iterations."""
    settings = make_settings()
    assert service.run(settings, RecordingObserver(), make_backend=fake_backend) == "complete"
    return settings.run_dir


@pytest.fixture
def path(run_dir: Path) -> Path:
    return run_dir / "trajectory.jsonl"


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def cut_after(path: Path, last: type) -> None:
    """Keep the records up to the last one of a kind: what a daemon that was killed there leaves behind."""
    kinds = [type(decode(payload)) for payload in read(path).payloads]
    keep = len(kinds) - kinds[::-1].index(last)
    path.write_bytes(b"".join(lines(path)[:keep]))


@pytest.fixture
def follower_of() -> Iterator[Callable[[Path], Follower]]:
    with ExitStack() as ends:
        yield lambda path: ends.enter_context(closing(Follower(path)))


@pytest.fixture
def reader_of() -> Iterator[Callable[[Path], SnapshotReader]]:
    with ExitStack() as ends:
        yield lambda path: ends.enter_context(closing(SnapshotReader(path)))


# The trajectory.


def test_what_is_there_is_read_once_and_then_what_is_new(path, monkeypatch, follower_of):
    whole = lines(path)
    path.write_bytes(b"".join(whole[:5]))
    follower = follower_of(path)
    assert len(follower.poll().records) == 5
    decoded: list[bytes] = []
    monkeypatch.setattr(follow, "decode", lambda payload: decoded.append(payload) or decode(payload))
    assert not follower.poll()
    append(path, whole[5] + whole[6])
    new = follower.poll()
    assert not new.replaced
    assert len(new.records) == len(decoded) == 2


@pytest.mark.parametrize("size", [1, 700, 5000])
def test_a_long_run_is_read_in_parts_that_make_the_same_whole(run_dir, path, size, monkeypatch, follower_of, reader_of):
    at_once, shown = follower_of(path).poll(), reader_of(run_dir).poll()
    monkeypatch.setattr("autoresearch.report.watch.follow.POLL_BYTES", size)
    follower, records, more, polls = follower_of(path), [], True, 0
    while more:
        new = follower.poll()
        records, more, polls = records + new.records, new.more, polls + 1
    assert records == at_once.records
    assert polls > 1 or size < 5000, "where the first line is longer than a part, everything is read at once"
    assert not follower.poll()
    again = reader_of(run_dir).poll()
    assert (again.history, again.summary) == (shown.history, shown.summary)


def test_a_trajectory_may_appear_later(tmp_path, path, follower_of):
    later = tmp_path / "not" / "yet" / "trajectory.jsonl"
    follower = follower_of(later)
    assert not follower.poll()
    later.parent.mkdir(parents=True)
    assert not follower.poll()
    later.write_bytes(b"")
    assert not follower.poll()
    shutil.copy(path, later)
    assert len(follower.poll().records) == len(lines(path))


def test_a_line_that_is_being_written_is_waited_for(path, follower_of):
    whole = lines(path)
    path.write_bytes(whole[0] + whole[1][:30])
    follower = follower_of(path)
    assert len(follower.poll().records) == 1
    assert not follower.poll()
    append(path, whole[1][30:])
    assert len(follower.poll().records) == 1


@pytest.mark.parametrize("tail", [b'{"seq":2,"sta', b"\0" * 50, b'{"seq":2,"stage"\n', b"\0\0\n"])
def test_what_a_crash_tore_is_passed_over_and_the_run_continues_behind_it(path, tail, follower_of):
    whole = lines(path)
    path.write_bytes(b"".join(whole[:2]) + tail)
    follower = follower_of(path)
    assert len(follower.poll().records) == 2
    os.truncate(path, len(whole[0] + whole[1]))  # the next start of the run
    assert not follower.poll()
    append(path, whole[2])
    new = follower.poll()
    assert not new.replaced
    assert len(new.records) == 1


@pytest.mark.parametrize("way", ["renamed", "deleted", "directory"])
def test_a_run_that_was_replaced_is_read_from_the_start(path, way, tmp_path, follower_of):
    whole = lines(path)
    follower = follower_of(path)
    follower.poll()
    if way == "renamed":
        path.rename(tmp_path / "old")
    elif way == "deleted":
        path.unlink()
    else:
        shutil.rmtree(path.parent)
        path.parent.mkdir()
    path.write_bytes(b"".join(whole))  # as long as the old one was
    new = follower.poll()
    assert new.replaced
    assert len(new.records) == len(whole)


def test_a_removed_run_is_reported_once(path, follower_of):
    follower = follower_of(path)
    follower.poll()
    path.unlink()
    assert follower.poll().replaced
    assert not follower.poll()


def test_a_file_that_became_shorter_is_read_from_the_start(path, follower_of):
    follower = follower_of(path)
    follower.poll()
    first = lines(path)[0]
    os.truncate(path, len(first))
    new = follower.poll()
    assert new.replaced
    assert len(new.records) == 1


def damage_the_second(whole: list[bytes]) -> None:
    whole[1] = whole[1].replace(b"stage", b"stagf")


def lose_the_second(whole: list[bytes]) -> None:
    del whole[1]


def lose_the_first(whole: list[bytes]) -> None:
    del whole[0]


def swap_meta(whole: list[bytes]) -> None:
    whole[0] = seal(0, json.dumps({"stage": "resumed", "ts": "2026-11-21T22:00:00Z", "paused_s": 1.0}))


def of_another_version(whole: list[bytes]) -> None:
    whole[1] = seal(1, '{"stage":"dreamt"}')


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (damage_the_second, "line 2 is damaged"),
        (lose_the_second, "line 2 has number 2 where 1 comes next"),
        (lose_the_first, "line 1 has number 1 where 0 comes next"),
        (of_another_version, "line 2 is left out: .*another version"),
    ],
)
def test_damage_hides_no_other_line_and_is_named_until_the_file_changes(path, harm, words, monkeypatch, follower_of):
    whole = lines(path)
    good = b"".join(whole)
    harm(whole)
    path.write_bytes(b"".join(whole))
    follower = follower_of(path)
    assert len(follower.poll().records) == len(lines(path)) - (harm not in (lose_the_first, lose_the_second))
    assert re.search(words, " ".join(follower.warnings()))
    with monkeypatch.context() as patch:
        patch.setattr(Follower, "_read", lambda *_: pytest.fail("an unchanged file was read again"))
        assert not follower.poll()
        assert re.search(words, " ".join(follower.warnings()))
    path.unlink()
    path.write_bytes(good)
    assert len(follower.poll().records) == len(lines(path))
    assert follower.warnings() == ()


@pytest.mark.parametrize("edit", [lambda data: b"\xef\xbb\xbf" + data, lambda data: data.replace(b"\n", b"\r\n")])
def test_what_an_editor_did_hides_nothing(edit, path, follower_of):
    count = len(lines(path))
    path.write_bytes(edit(path.read_bytes()))
    follower = follower_of(path)
    assert len(follower.poll().records) == count
    assert "an editor" in " ".join(follower.warnings())


@pytest.mark.parametrize(
    ("codec", "named"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16"),
        ("utf-16-be", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("utf-8-sig", "BOM"),
    ],
)
@pytest.mark.parametrize("records", [1, 100])
def test_another_encoding_is_named_with_its_repair(path, follower_of, codec, named, records):
    """A first line without its end too: it is not one that is still written."""
    text = b"\n".join(line.rstrip() for line in lines(path)[:records]).decode()
    path.write_bytes(text.encode(codec))
    follower = follower_of(path)
    if codec == "utf-8-sig" and records > 1:
        follower.poll()
        assert "BOM" in " ".join(follower.warnings())
        return
    with pytest.raises(JournalError, match=named) as refusal:
        follower.poll()
    assert f"autoresearch repair {path.parent} --yes" in refusal.value.hint


def test_a_log_without_its_meta_record_is_shown(run_dir, path, reader_of):
    whole = lines(path)
    swap_meta(whole)
    path.write_bytes(b"".join(whole))
    snapshot = reader_of(run_dir).poll()
    assert snapshot.problem is None
    assert snapshot.summary.iterations == 3
    assert snapshot.summary.warnings == [NO_META]


def test_a_file_that_is_not_a_trajectory_is_named(tmp_path, follower_of):
    path = tmp_path / "trajectory.jsonl"
    path.write_text('{"stage": "evaluated"}\n')
    with pytest.raises(JournalError, match="not a trajectory of this program"):
        follower_of(path).poll()
    path.unlink()
    path.mkdir()
    with pytest.raises(JournalError, match="cannot read"):
        follower_of(path).poll()


# Everything together.


def test_a_run_that_ended(run_dir, reader_of):
    snapshot = reader_of(run_dir).poll()
    assert snapshot.history.state == "complete"
    assert snapshot.summary.iterations == 3
    assert not snapshot.alive
    assert not snapshot.starting


def test_a_look_sees_what_is_new(run_dir, path, reader_of):
    whole = lines(path)
    cut_after(path, Evaluated)
    reader = reader_of(run_dir)
    first = reader.poll()
    assert first.history.state == "running"
    assert first is not reader.poll()
    assert first.history is reader.poll().history  # nothing new: nothing folded, nothing counted
    path.write_bytes(b"".join(whole))
    assert reader.poll().history.state == "complete"


def progress(run_dir: Path, pid: int, n: int | None) -> None:
    fields = {"pid": pid, "iter": n, "phase": "train", "fraction": 0.5, "tokens_per_s": None}
    (run_dir / "progress.json").write_text(json.dumps(fields))


@pytest.fixture
def in_a_trial(run_dir: Path, path: Path) -> tuple[Path, int, int]:
    """The run as it was in its last trial, the pid of its daemon, and the trial's iteration."""
    cut_after(path, TrialStarted)
    records = [decode(payload) for payload in read(path).payloads]
    return run_dir, next(r.pid for r in records if isinstance(r, Started)), records[-1].iter


@pytest.fixture
def held(in_a_trial):
    """The lock, as its daemon holds it."""
    run_dir, pid, _ = in_a_trial
    lock = DirectoryLock(run_dir / "run.lock")
    lock.acquire({"pid": pid, "host": "desk"})
    yield lock
    lock.release()


def test_the_progress_of_the_living_daemon_s_running_trial_is_believed(in_a_trial, held, reader_of):
    run_dir, pid, n = in_a_trial
    reader = reader_of(run_dir)
    assert reader.poll().alive
    assert reader.poll().progress is None
    progress(run_dir, pid, n)
    assert reader.poll().progress.fraction == 0.5
    progress(run_dir, pid + 1, n)
    assert reader.poll().progress is None  # of a daemon that was killed
    progress(run_dir, pid, n - 1)
    assert reader.poll().progress is None  # of a trial that is over
    progress(run_dir, pid, n)
    held.release()
    assert reader.poll().progress is None
    assert not reader.poll().alive


def test_a_lock_that_the_records_do_not_know_of_is_a_daemon_that_starts(in_a_trial, held, reader_of):
    run_dir, pid, _ = in_a_trial
    assert not reader_of(run_dir).poll().starting
    held.release()
    held.acquire({"pid": pid + 1, "host": "desk"})
    progress(run_dir, pid + 1, None)
    snapshot = reader_of(run_dir).poll()
    assert snapshot.starting
    assert snapshot.progress.phase == "train"


def test_a_flag_is_seen(run_dir, reader_of):
    reader = reader_of(run_dir)
    assert not reader.poll().pause_requested
    (run_dir / PAUSE_FLAG).touch()
    assert reader.poll().pause_requested


def test_a_bare_file_has_no_lock_and_no_flag(path, reader_of):
    (path.parent / PAUSE_FLAG).touch()
    snapshot = reader_of(path).poll()
    assert snapshot.history.state == "complete"
    assert snapshot.alive is None
    assert not snapshot.pause_requested


def test_damage_is_a_problem_that_can_pass(run_dir, path, reader_of):
    whole = path.read_bytes()
    reader = reader_of(run_dir)
    reader.poll()
    path.unlink()
    path.write_bytes(b"x\n" + whole)
    snapshot = reader.poll()
    assert isinstance(snapshot.problem, JournalError)
    assert snapshot.history is None
    path.write_bytes(whole)
    snapshot = reader.poll()
    assert snapshot.problem is None
    assert snapshot.summary.iterations == 3


@pytest.mark.parametrize(("last", "watts"), [(600.0, 60.0), (None, None)])
def test_watts_are_of_the_newest_trial_while_it_trained(run_dir, path, reader_of, last, watts):
    """Over the seconds that were metered, not over the whole of the trial; an older trial's would be stale."""
    records = [decode(payload) for payload in read(path).payloads]
    trials = [n for n, record in enumerate(records) if record.stage == "trial"]
    for n in trials:
        train = fake_power(last if n == trials[-1] else 3000.0, 10.0)
        outcome = records[n].outcome.model_copy(update={"energy_j": 600.0, "trial_wall_s": 1000.0})
        records[n] = records[n].model_copy(update={"outcome": outcome, "power": {"train": train}})
    path.write_bytes(b"".join(seal(n, encode(record)) for n, record in enumerate(records)))
    assert reader_of(run_dir).poll().watts == watts


def test_looking_changes_nothing(run_dir, reader_of):
    def everything() -> dict[str, tuple[int, int, bytes]]:
        files = [p for p in run_dir.rglob("*") if p.is_file()]
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_ino, p.read_bytes()) for p in files}

    before = everything()
    reader = reader_of(run_dir)
    reader.poll()
    reader.poll()
    reader.close()
    assert everything() == before


# The command, where there is no terminal.


def test_without_a_terminal_one_frame_is_printed(run_dir, capsys):
    assert main(["watch", str(run_dir)]) == 0
    text = capsys.readouterr().out
    assert "Complete: 3 of 3 iterations closed" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.rstrip().splitlines()[-1].startswith("3 ")


def test_nothing_there_is_no_error(tmp_path, capsys):
    assert main(["watch", "--once", str(tmp_path / "none")]) == 0
    assert "No run has started here yet." in capsys.readouterr().out


def test_damage_is_a_warning(run_dir, path, capsys):
    path.write_bytes(b"".join(line for n, line in enumerate(lines(path)) if n != 1))
    assert main(["watch", str(run_dir)]) == 0
    text = capsys.readouterr().out
    assert "line 2 has number 2" in text
    assert "3 iterations closed" in text
