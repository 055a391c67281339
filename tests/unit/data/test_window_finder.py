"""Windows have a hash of their own at any place, and processes find them in shared tables."""

from __future__ import annotations

import random
import tempfile

import numpy as np

from autoresearch.data.window_finder import BLOCK_BYTES, WINDOW_BYTES, WindowFinder, WindowHasher


def text(size: int, seed: int) -> bytes:
    return bytes(random.Random(seed).choices(range(97, 123), k=size))


def test_the_hash_of_a_window_does_not_depend_on_its_place() -> None:
    hasher = WindowHasher()
    window = text(WINDOW_BYTES, 1)
    (alone,) = hasher.hashes(window)
    assert hasher.hashes(text(999, 2) + window + text(10, 3))[999] == alone
    assert hasher.hashes(text(2 * BLOCK_BYTES, 2) + window)[-1] == alone


def test_a_finder_of_a_file_finds_the_same() -> None:
    block = text(2 * BLOCK_BYTES, 1)
    hashes = np.unique(WindowHasher().hashes(text(500, 2) + block[BLOCK_BYTES - 100 : BLOCK_BYTES + 100]))
    finder = WindowFinder(hashes)
    with tempfile.TemporaryFile() as file:
        finder.write(file)
        again = WindowFinder.open(file.fileno())
        found = again.find(block)
    assert len(found) == 200 - WINDOW_BYTES + 1
    assert set(found) == set(finder.find(block))


def test_no_windows_find_nothing() -> None:
    assert len(WindowFinder(np.zeros(0, np.uint64)).find(text(1000, 1))) == 0
