"""Runs below directories: hostile names, links, directories that cannot be read, and too many of everything."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from autoresearch.storage.run_dir import LOCK, TRAJECTORY
from autoresearch.web import find_runs as module
from autoresearch.web.find_runs import find_runs


def make_run(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / TRAJECTORY).write_text("")
    return path


def names(*roots: Path) -> list[str]:
    return [run.name for run in find_runs(roots).runs]


def test_runs_at_any_depth_and_only_once(tmp_path):
    make_run(tmp_path / "a")
    make_run(tmp_path / "deep/er/b")
    (tmp_path / "starting").mkdir()
    (tmp_path / "starting" / LOCK).write_text("")
    assert names(tmp_path) == ["a", "deep/er/b", "starting"]
    assert len(names(tmp_path, tmp_path / "a", tmp_path / "a" / TRAJECTORY)) == 3
    assert names(tmp_path / "a" / TRAJECTORY) == ["a"]


def test_an_id_is_the_same_at_every_search_and_different_for_every_run(tmp_path):
    make_run(tmp_path / "a")
    make_run(tmp_path / "b")
    first, second = find_runs([tmp_path]).runs, find_runs([tmp_path]).runs
    assert first == second
    assert len({run.id for run in first}) == 2


def test_archives_hidden_directories_and_links_are_not_searched(tmp_path):
    make_run(tmp_path / "run/archive/old")
    make_run(tmp_path / "archive/old")
    make_run(tmp_path / ".hidden/run")
    other = make_run(tmp_path / "other")
    (tmp_path / "link").symlink_to(other)
    (tmp_path / "loop").symlink_to(tmp_path)
    false = tmp_path / "false"
    false.mkdir()
    (false / TRAJECTORY).symlink_to(other / TRAJECTORY)
    assert names(tmp_path) == ["other"]
    assert names(tmp_path / "link") == ["link"]  # the user named it


def test_names_are_shown_escaped_whatever_their_bytes(tmp_path):
    for name in (b"<script>alert(1)</script>"[:25], b"new\nline", b"\xff\xfe", "\u202eright".encode()):
        folder = os.fsencode(tmp_path) + b"/" + name.replace(b"/", b"_")
        os.mkdir(folder)
        Path(os.fsdecode(folder), TRAJECTORY).write_text("")
    found = names(tmp_path)
    assert len(found) == 4
    assert all(name.isprintable() and name.encode() for name in found)


def test_a_directory_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    make_run(tmp_path / "a")
    (tmp_path / "closed").mkdir()
    real = os.scandir

    def scandir(path):
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied")  # root, as which tests may run, reads everything
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = find_runs([tmp_path])
    assert [run.name for run in found.runs] == ["a"]
    assert found.problems == (f"cannot read {tmp_path / 'closed'}: Permission denied",)


def test_a_missing_root_and_a_file_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    found = find_runs([tmp_path / "gone", tmp_path / "file"])
    assert found.runs == ()
    assert [p.rsplit(": ", 1)[1] for p in found.problems] == ["No such file or directory", "Not a directory"]


def test_the_search_is_bounded_and_says_so(tmp_path, monkeypatch):
    for n in range(6):
        make_run(tmp_path / f"run{n}")
    monkeypatch.setattr(module, "MAX_RUNS", 3)
    found = find_runs([tmp_path])
    assert len(found.runs) == 3
    assert found.problems == ("3 runs are shown, and there are more",)
    monkeypatch.setattr(module, "MAX_ENTRIES", 8)
    assert "the rest was not searched" in find_runs([tmp_path]).problems[0]
