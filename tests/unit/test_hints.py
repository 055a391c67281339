"""Advice that is true on this machine: commands that work from any directory, and who may use a file."""

from __future__ import annotations

import errno
import os
import shlex
from pathlib import Path

import pytest

from autoresearch.hints import command, hint_after

OWN = f"{os.geteuid()}"


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_a_command_works_from_any_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command("pause", "--now", Path("my run; $x")))
    assert words == ["autoresearch", "pause", "--now", str(tmp_path / "my run; $x")]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "make room on the file system"),
        (errno.EDQUOT, "make room on the file system"),
        (errno.EROFS, "mounted read-only"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EIO, "ls -ld"),
        (errno.ELOOP, "a b'.moved"),
        (errno.EMLINK, "move it away: mv"),
    ],
)
def test_the_hint_follows_the_error(tmp_path, number, words):
    for deed in ("read", "write", "create", "remove"):
        assert words in hint_after(error(number), tmp_path / "a b", deed)


def chowned(path: Path, uid: int, gid: int, mode: int) -> Path:
    try:
        os.chown(path, uid, gid)
    except PermissionError:
        pytest.skip("only root can give a file away")
    path.chmod(mode)
    return path


def test_a_group_that_may_is_named(tmp_path):
    file = tmp_path / "exchanges.jsonl"
    file.touch()
    chowned(file, 54321, 54322, 0o640)
    hint = hint_after(error(errno.EACCES), file, "read")
    assert "belongs to 54321:54322, mode 0640: members of the group 54322 may: sudo usermod -aG 54322 " in hint
    file.chmod(0o600)
    assert hint_after(error(errno.EACCES), file, "read").endswith("mode 0600: only 54321 and root may")
    directory = chowned(tmp_path, 54321, 54322, 0o3770)
    assert "members of the group 54322 may" in hint_after(error(errno.EACCES), directory / "pause.flag", "create")
    assert f"{directory} belongs to 54321:54322, mode 3770" in hint_after(
        error(errno.EACCES), directory / "x", "create"
    )


def test_a_sticky_directory_names_who_may_remove(tmp_path):
    directory = tmp_path / "run"
    directory.mkdir()
    flag = directory / "pause.flag"
    flag.touch()
    chowned(flag, 54321, 54321, 0o600)
    chowned(directory, 54322, 54322, 0o3777)
    who = "belongs to 54321, and its directory is sticky: only 54321, 54322 and root may remove it"
    assert hint_after(error(errno.EPERM), flag, "remove") == f"{flag} {who}: sudo rm {flag}"
    flag.unlink()  # removed by another process meanwhile
    assert "belongs to another user" in hint_after(error(errno.EPERM), flag, "remove")
