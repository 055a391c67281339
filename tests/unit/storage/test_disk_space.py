"""How much free space a run needs, and what is said where there is less."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autoresearch.daemon.doctor import machine
from autoresearch.storage.disk_space import floor_bytes, mib, preallocate, shortage


def test_the_floor_is_a_share_of_a_small_file_system() -> None:
    assert floor_bytes(2 << 20, None) == (2 << 20) // 20
    assert floor_bytes(1 << 40, None) == 64 << 20
    assert floor_bytes(1 << 40, 0) == 0
    assert floor_bytes(2 << 20, 1.5) == 3 << 19


def test_a_shortage_names_what_is_free_where_and_what_is_needed(tmp_path: Path) -> None:
    assert shortage(tmp_path, 0) == ""
    place = next(p for p in (tmp_path.resolve(), *tmp_path.resolve().parents) if os.path.ismount(p))
    said = shortage(tmp_path, 1e9)
    assert said.startswith("waits for disk space: ")
    assert said.endswith(f" MiB free on {place}, needs 1000000000 MiB")
    assert machine.disk(tmp_path / "run", 1e9).found.startswith("the run waits for disk space")


def test_a_directory_that_is_gone_is_not_a_shortage(tmp_path: Path) -> None:
    assert shortage(tmp_path / "gone", 1e9) == ""


@pytest.mark.parametrize(("size", "text"), [(0, "0.0"), (100_000, "0.1"), (3 << 20, "3.0"), (64 << 20, "64")])
def test_sizes_are_short(size: int, text: str) -> None:
    assert mib(size) == text


def test_space_is_allocated_without_a_longer_file(tmp_path: Path) -> None:
    with (tmp_path / "f").open("wb") as file:
        if not preallocate(file.fileno(), 0, 1 << 20):
            pytest.skip("this file system does not allocate ahead")
        status = os.fstat(file.fileno())
    assert (status.st_size, status.st_blocks * 512 >= 1 << 20) == (0, True)
    assert preallocate(-1, 0, 1) is False
    assert preallocate(0, 0, 0) is False
