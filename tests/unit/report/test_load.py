"""Loading a trajectory: what is read, what is ignored, what is refused, and the error messages."""

from __future__ import annotations

import json
import os
import re
import tracemalloc
from pathlib import Path

import pytest

from autoresearch.core.records import IterationRecord, Paused, encode
from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.report import load, load_records, origin, raw_replies, render_report, stream_records, summarise
from autoresearch.storage.journal import seal


def test_a_directory_and_its_bare_file_give_the_same_history(night, tmp_path):
    run = night.save(tmp_path / "run")
    assert load(run) == load(run / "trajectory.jsonl")
    assert load(run).run_id == "night-1"


def test_looking_changes_nothing(night, tmp_path):
    run = night.save(tmp_path / "run")
    before = {p.name: p.read_bytes() for p in run.iterdir()}
    load(run)
    assert {p.name: p.read_bytes() for p in run.iterdir()} == before


def test_a_torn_last_line_is_ignored_wherever_it_was_torn(night, tmp_path):
    """At some of its bytes; the journal's own tests try every byte."""
    file = night.save(tmp_path / "run") / "trajectory.jsonl"
    whole = file.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    file.write_bytes(whole[:last])
    without = load(file)
    for cut in (last + 1, *range(last + 2, len(whole) - 1, 29), len(whole) - 1):
        file.write_bytes(whole[:cut])
        assert load(file) == without
    assert len(without.rows) == 6


def test_damage_before_the_tail_hides_no_other_line(night, tmp_path):
    """A command that must trust the log refuses it; one that shows it names the line."""
    file = night.save(tmp_path / "run") / "trajectory.jsonl"
    whole = load(file)
    lines = file.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"tpe", b"tpx").replace(b"trial", b"trjal")
    file.write_bytes(b"".join(lines))
    history = load(file)
    assert history.rows == whole.rows
    assert [w for w in history.warnings if w.startswith("line 3 is damaged: its checksum does not fit")]
    assert len(history.warnings) == 1
    with pytest.raises(JournalDamaged, match="line 3 is damaged"):
        load_records(file)


@pytest.mark.parametrize("number", range(20))
def test_whichever_line_is_zeroed_the_others_are_shown(number, night, tmp_path):
    file = night.save(tmp_path / "run") / "trajectory.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    if number >= len(lines) - 1:
        pytest.skip("the run is shorter")
    lines[number] = b"\0" * (len(lines[number]) - 1) + b"\n"
    file.write_bytes(b"".join(lines))
    history = load(file)
    assert f"line {number + 1} is damaged" in history.warnings[0]
    assert "all zeros, in place of 1 record" in history.warnings[0]
    assert len(history.rows) >= 6
    text = render_report(summarise(history), history)
    assert text.startswith(f"WARNING: in the trajectory, line {number + 1} is damaged")
    assert "autoresearch repair RUN" in " ".join(text.split())


@pytest.mark.parametrize(
    ("edit", "trace"),
    [
        (lambda data: data.replace(b"\n", b"\r\n"), "end in CRLF"),
        (lambda data: b"\xef\xbb\xbf" + data, "byte-order mark"),
        (lambda data: data.decode().encode("utf-16"), "UTF-16"),
        (lambda data: data.decode().encode("utf-16-le"), "UTF-16"),
        (lambda data: data.decode().encode("utf-16-be"), "UTF-16"),
        (lambda data: data.decode().encode("utf-32"), "UTF-32"),
        (lambda data: data.replace(b"\n", b"\n\n", 2), "2 blank lines between records"),
    ],
)
def test_what_an_editor_did_is_named_and_hides_nothing(edit, trace, night, tmp_path):
    file = night.save(tmp_path / "run") / "trajectory.jsonl"
    whole = load(file)
    file.write_bytes(edit(file.read_bytes()))
    history = load(file)
    assert history.rows == whole.rows
    assert history.run_id == "night-1"
    assert len(history.warnings) == 1
    assert trace in history.warnings[0]


def test_blank_lines_at_the_end_are_not_damage(night, tmp_path):
    file = night.save(tmp_path / "run") / "trajectory.jsonl"
    whole = load(file)
    file.write_bytes(file.read_bytes() + b"\n\r\n \n")
    assert load(file) == whole
    assert load_records(file)


def test_a_sealed_line_of_another_version_is_left_out_and_named(night, tmp_path):
    run = night.save(tmp_path / "run")
    file = run / "trajectory.jsonl"
    count = len(night.records)
    file.write_bytes(file.read_bytes() + seal(count, '{"stage":"resumed","ts":"now","mood":"good","paused_s":1.0}'))
    (warning,) = load(run).warnings
    assert re.search(rf"line {count + 1} is left out: .*mood.*another version", warning)
    with pytest.raises(JournalDamaged, match=rf"line {count + 1}: .*mood.*(?s:.*)another version"):
        load_records(run)


def test_a_run_that_does_not_begin_with_its_meta_record_is_shown_with_a_warning(new_run, tmp_path):
    run = new_run().paused().save(tmp_path / "run")
    assert any("not meta" in warning for warning in load(run).warnings)
    with pytest.raises(JournalDamaged, match="line 1 is not a meta record"):
        load_records(run)


def test_a_file_of_zeros_only_is_damage(night, tmp_path):
    file = night.save(tmp_path / "run") / "trajectory.jsonl"
    file.write_bytes(b"\0" * 100 + b"\n" + b"\0" * 100 + b"\n" + file.read_bytes()[:9] + b"\n")
    with pytest.raises(JournalDamaged, match="line 1 is damaged: 100 bytes, all zeros"):
        load(file)


@pytest.mark.parametrize("content", [b"", b"\n\n", b'{"seq":0,"ts":"20', b'{"_meta": "traj', b"hello"])
def test_a_file_without_a_whole_record_says_so(content, tmp_path):
    file = tmp_path / "trajectory.jsonl"
    file.write_bytes(content)
    with pytest.raises(JournalError, match=r"is empty|no complete record") as refused:
        load(tmp_path)
    assert refused.value.hint
    assert str(file) in refused.value.what


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(JournalError, match=r"nowhere does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(JournalError, match=r"has no trajectory\.jsonl"):
        load(tmp_path)
    with pytest.raises(JournalError, match="does not exist"):
        load(tmp_path / "nul\0byte")
    with pytest.raises(JournalError, match="cannot read"):
        load(tmp_path / ("x" * 5000))


def test_what_is_no_file_is_not_read(tmp_path):
    (tmp_path / "trajectory.jsonl").mkdir()
    with pytest.raises(JournalError, match="not a regular file"):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(JournalError, match="not a regular file"):
        load(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_named(night, tmp_path):
    file = night.save(tmp_path / "run") / "trajectory.jsonl"
    file.chmod(0)
    with pytest.raises(JournalError, match=r"cannot read .*trajectory\.jsonl"):
        load(file)


def test_a_file_that_vanishes_while_it_is_looked_at_is_an_error_of_ours(tmp_path, monkeypatch):
    gone = tmp_path / "trajectory.jsonl"
    monkeypatch.setattr(Path, "is_file", lambda self: True)
    with pytest.raises(JournalError, match="cannot read"):
        load(gone)


def test_a_large_file_of_something_else_is_refused_before_it_is_parsed(tmp_path, monkeypatch):
    monkeypatch.setattr(origin, "MAX_BYTES", 1 << 20)
    file = tmp_path / "model.bin"
    file.write_bytes(b"\1" * (2 << 20))
    with pytest.raises(JournalError, match="larger than 1 MiB"):
        load(file)


@pytest.mark.slow
def test_a_run_of_ten_thousand_iterations_is_read_and_summed_up(new_run, tmp_path):
    run = new_run().begin(10_000)
    for n in range(10_000):
        run.evaluated("lr", 1e-5 + n % 5000 * 1e-6, 3.35 + n % 7 / 100)
    file = tmp_path / "trajectory.jsonl"
    file.write_bytes(b"".join(seal(n, encode(record)) for n, record in enumerate(run.records)))
    summary = summarise(load(file))
    assert (summary.iterations, summary.repeat_count, summary.unique_pairs) == (10_000, 5000, 5000)


ASSETS = Path(__file__).parents[2] / "assets"


def test_the_proposals_of_a_log_without_rounds_are_replies_of_their_own():
    """The first version requested one proposal per reply."""
    closed = [r for r in load_records(ASSETS / "trajectory_v1.jsonl") if isinstance(r, IterationRecord)]
    assert max(len(r.attempts) for r in closed) == 3
    assert raw_replies(ASSETS / "trajectory_v1.jsonl") == [(a.raw,) for r in closed for a in r.attempts]


def test_the_origins_proposals_are_replies_of_their_own():
    replies = raw_replies(ASSETS / "origin_trajectory.jsonl")
    assert replies
    assert {len(reply) for reply in replies} == {1}
    assert all(set(json.loads(raw)) == {"knob", "new_value", "reason"} for (raw,) in replies)


def test_records_are_read_one_by_one_and_damage_is_named_where_it_is_met(night, tmp_path):
    file = night.save(tmp_path / "run") / "trajectory.jsonl"
    whole = load_records(file)
    assert list(stream_records(file)) == whole
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([*lines[:5], b"x" + lines[5], *lines[6:]]))
    read = []
    with pytest.raises(JournalDamaged, match="line 6 is damaged"):
        read.extend(stream_records(file))
    stream = stream_records(file)
    assert [next(stream) for _ in range(5)] == whole[:5]


def test_reading_a_long_run_holds_a_block_and_not_the_file(tmp_path, night):
    first, *_ = load_records(night.save(tmp_path / "run"))
    long = tmp_path / "long.jsonl"
    paused = encode(Paused(ts="2026-11-20T00:00:00Z", reason="x" * 1000, completed_iters=0, requested_iters=1))
    with long.open("wb") as file:
        file.write(seal(0, encode(first)))
        file.writelines(seal(n, paused) for n in range(1, 15_000))
    tracemalloc.start()
    assert sum(1 for _ in stream_records(long)) == 15_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < long.stat().st_size / 3
