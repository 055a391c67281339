"""Folders of attempts: one name for each, whatever the id is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.attempt_folder import attempt_folder, make_fresh, settle
from autoresearch.errors import JournalError

ODD = [
    "../../etc/passwd",
    "a/b",
    "",
    ".",
    "..",
    ".hidden",
    "-rf",
    "x" * 300,
    "a b",
    "答案",
    "\x00",
    "a\nb",
    "a~b",
    "CON",
]


@pytest.mark.parametrize("case", ODD)
def test_an_odd_id_is_one_plain_name_below_attempts(tmp_path: Path, case: str) -> None:
    folder = attempt_folder(tmp_path, case, 3)
    assert folder.parent == tmp_path / "attempts"
    assert folder.name.endswith("-3")
    assert folder.name.isascii()
    assert len(folder.name) < 120
    make_fresh(folder)
    assert folder.resolve().parent == (tmp_path / "attempts").resolve()


def test_a_plain_id_is_readable() -> None:
    assert attempt_folder(Path("run"), "hr_01.onboarding-a", 0) == Path("run/attempts/hr_01.onboarding-a-0")


@given(st.lists(st.tuples(st.text(max_size=100), st.integers(0, 99)), unique=True, min_size=2, max_size=8))
def test_different_attempts_have_different_folders(attempts: list[tuple[str, int]]) -> None:
    folders = {attempt_folder(Path("run"), case, sample) for case, sample in attempts}
    assert len(folders) == len(attempts)


def test_what_a_killed_attempt_left_is_removed(tmp_path: Path) -> None:
    folder, outside = attempt_folder(tmp_path, "a", 0), tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/file").touch()
    (folder / "link").symlink_to(outside)
    os.chmod(folder / "deep/er", 0)
    make_fresh(folder)
    assert list(folder.iterdir()) == []
    assert (outside / "kept").exists()


def test_a_link_in_the_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder, outside = attempt_folder(tmp_path, "a", 0), tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    folder.parent.mkdir()
    folder.symlink_to(outside)
    make_fresh(folder)
    assert not folder.is_symlink()
    assert (outside / "kept").exists()


def test_a_file_in_the_place_of_all_folders_is_named(tmp_path: Path) -> None:
    (tmp_path / "attempts").touch()
    with pytest.raises(JournalError, match="attempts/a-0"):
        make_fresh(attempt_folder(tmp_path, "a", 0))


def test_an_empty_folder_does_not_stay(tmp_path: Path) -> None:
    used, unused = (attempt_folder(tmp_path, "a", sample) for sample in range(2))
    for folder in (used, unused):
        make_fresh(folder)
    (used / "file").touch()
    os.mkfifo(used / "pipe")
    (used / "dangling").symlink_to("nowhere")
    settle(used)
    settle(unused)
    assert used.exists()
    assert not unused.exists()


def nest(folder: Path, depth: int) -> None:
    """Directories one in the other, deeper than a path may be long; a file in the last one."""
    fd = os.open(folder, os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


def test_directories_deeper_than_a_path_may_be_long_are_settled_and_removed(tmp_path: Path) -> None:
    folder = attempt_folder(tmp_path, "a", 0)
    make_fresh(folder)
    (folder / "after").mkdir()
    (folder / "after/file").touch()
    nest(folder, 2_500)
    settle(folder)
    assert folder.exists()
    make_fresh(folder)
    assert list(folder.iterdir()) == []
