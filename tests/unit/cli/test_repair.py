"""``autoresearch repair``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autoresearch.storage.journal import Journal, read
from autoresearch.storage.lock import DirectoryLock
from autoresearch.storage.run_dir import LOCK, TRAJECTORY


def zero_line(run_dir: Path, number: int) -> bytes:
    file = run_dir / TRAJECTORY
    lines = file.read_bytes().splitlines(keepends=True)
    lines[number - 1] = b"\0" * (len(lines[number - 1]) - 1) + b"\n"
    file.write_bytes(b"".join(lines))
    return file.read_bytes()


ONE_SEED = ("--decision", "threshold", "--set", "reports=[]")


def run_flags(run_dir: Path, iters: int) -> list[str]:
    return [*("run", "--dir", str(run_dir), "--proposer", "random", "--iters", str(iters)), *ONE_SEED]


def test_without_yes_nothing_is_changed(cli, finished):
    before = zero_line(finished, 5)
    names = sorted(p.name for p in finished.iterdir())
    code, out, _ = cli("repair", str(finished))
    assert code == 0
    assert "line 5 is damaged" in out
    assert "keep the first 4 records, up to line 4" in out
    assert "whole records after that place: each record depends on those before it" in out
    assert f"`autoresearch repair {finished} --yes`" in out
    assert (finished / TRAJECTORY).read_bytes() == before
    assert sorted(p.name for p in finished.iterdir()) == names


def test_with_yes_the_history_before_the_damage_is_kept_and_the_original_beside_it(cli, finished):
    before = zero_line(finished, 5)
    code, out, _ = cli("repair", str(finished), "--yes", "--json")
    facts = json.loads(out)
    assert code == 0
    assert (facts["repaired"], facts["records_kept"], facts["needed"]) == (True, 4, False)
    assert Path(facts["original"]).read_bytes() == before
    assert (finished / TRAJECTORY).read_bytes() == b"".join(before.splitlines(keepends=True)[:4])
    assert cli("status", str(finished))[1].startswith("WARNING") is False


def test_a_whole_run_is_left_alone(cli, finished):
    before = (finished / TRAJECTORY).read_bytes()
    code, out, _ = cli("repair", str(finished), "--yes")
    assert code == 0
    assert "Nothing is to be repaired" in out
    assert (finished / TRAJECTORY).read_bytes() == before
    assert not list(finished.glob("*.before-repair-*"))


@pytest.mark.parametrize("yes", [[], ["--yes"]])
def test_a_running_daemon_s_file_is_not_touched(yes, cli, finished):
    before = zero_line(finished, 5)
    lock = DirectoryLock(finished / LOCK)
    lock.acquire({"pid": 4711})
    code, _, err = cli("repair", str(finished), *yes)
    lock.release()
    assert code == 75
    assert "belongs to a running autoresearch" in err
    assert (finished / TRAJECTORY).read_bytes() == before


def test_where_nothing_can_be_continued_it_says_so(cli, finished):
    before = zero_line(finished, 1)
    code, _, err = cli("repair", str(finished), "--yes")
    assert code == 65
    assert "nothing can be continued: line 1 is damaged" in err
    assert "--fresh" in err
    assert (finished / TRAJECTORY).read_bytes() == before


def test_what_is_not_there_is_74(cli, tmp_path):
    code, _, err = cli("repair", str(tmp_path / "none"))
    assert code == 74
    assert "cannot read" in err


def test_crlf_of_an_editor_is_undone_without_loss(cli, finished):
    file = finished / TRAJECTORY
    before = file.read_bytes()
    file.write_bytes(b"\xef\xbb\xbf" + before.replace(b"\n", b"\r\n") + b"\r\n")
    assert cli(*run_flags(finished, 4))[0] == 65
    assert cli("repair", str(finished), "--yes")[0] == 0
    assert file.read_bytes() == before
    assert len(read(file).payloads) == len(before.splitlines())


def test_every_log_of_a_run_is_repaired(cli, finished):
    for name in ("exchanges.jsonl", "envelope.jsonl"):
        (finished / name).write_bytes(b"\0" * 40 + b"\n\0\n")
    code, out, _ = cli("repair", str(finished))
    assert code == 0
    assert "trajectory.jsonl is whole" in out
    assert "exchanges.jsonl:" in out
    assert "envelope.jsonl:" in out
    code, out, _ = cli("repair", str(finished), "--yes", "--json")
    facts = json.loads(out)
    assert [Path(log["file"]).name for log in facts["logs"]] == [TRAJECTORY, "exchanges.jsonl", "envelope.jsonl"]
    assert [log["repaired"] for log in facts["logs"]] == [False, True, True]
    assert facts["file"] == facts["logs"][0]["file"]
    code, out, _ = cli("repair", str(finished / "envelope.jsonl"))
    assert (code, "is whole: 0 records" in out) == (0, True)


def test_a_daemon_without_run_lock_is_noticed(cli, finished):
    journal = Journal(finished / TRAJECTORY)
    code, _, err = cli("repair", str(finished), "--yes")
    journal.close()
    assert code == 75
    assert "belongs to a running autoresearch" in err
