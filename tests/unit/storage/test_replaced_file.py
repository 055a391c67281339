"""A file that a library writes by its path."""

from __future__ import annotations

import pytest

from autoresearch.storage.replaced_file import replaced_file


def test_it_takes_its_place_at_the_end(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    with replaced_file(path) as temporary:
        temporary.write_text("new")
        (temporary.parent / "out.csv.lock").write_text("")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_exception_the_old_file_is_there_and_nothing_else(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")

    def fail():
        with replaced_file(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_is_missing_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError), replaced_file(tmp_path / "none" / "out.csv"):
        raise AssertionError("not reached")
