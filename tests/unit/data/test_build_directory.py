"""A working directory is locked while it is used, removed at the end, and swept after a kill."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autoresearch.data.build_directory import build_directory
from autoresearch.errors import CorpusError

KILLED = """
import os, sys
from pathlib import Path
from autoresearch.data.build_directory import build_directory
with build_directory(Path(sys.argv[1]), "it") as work:
    (work / "half.bin").write_bytes(b"half")
    os.kill(os.getpid(), int(sys.argv[2]))
"""


def kill_at(out: Path, signum: int) -> None:
    path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-c", KILLED, str(out), str(int(signum))]
    done = subprocess.run(command, env=os.environ | path, timeout=60)
    assert done.returncode == -signum


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, signum: int) -> None:
    kill_at(tmp_path / "c", signum)
    assert len(list(tmp_path.glob(".c.building-*/half.bin"))) == 1
    with build_directory(tmp_path / "c", "it") as work:
        assert list(tmp_path.iterdir()) == [work]
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_in_use_is_left(tmp_path: Path) -> None:
    with build_directory(tmp_path / "c", "it") as first:
        (first / "x").write_text("")
        with build_directory(tmp_path / "c", "it") as second:
            assert first != second
        assert (first / "x").exists()


def test_links_files_and_other_names_are_left(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "thesis").write_text("years")
    (tmp_path / ".c.building-12345678").symlink_to(elsewhere)
    (tmp_path / ".c.building-abc").write_text("a file")
    (tmp_path / ".c.other").mkdir()
    (tmp_path / ".cc.building-12345678").mkdir()
    before = sorted(path.name for path in tmp_path.iterdir())
    with build_directory(tmp_path / "c", "it"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (elsewhere / "thesis").read_text() == "years"


def test_an_error_of_the_disk_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"cannot write it to .*c: No space"), build_directory(tmp_path / "c", "it"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_limit_of_the_process_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"RLIMIT_NOFILE[\s\S]*ulimit -n"), build_directory(tmp_path / "c", "x"):
        raise OSError(errno.EMFILE, "Too many open files")
