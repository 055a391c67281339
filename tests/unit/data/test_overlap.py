"""Validation text that occurs in train is found wherever it stands, and other text is not."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest

from autoresearch.data import overlap
from autoresearch.data.corpus import OverlapInfo
from autoresearch.data.overlap import Comparison
from autoresearch.data.window_finder import BLOCK_BYTES, WINDOW_BYTES


def text(size: int, seed: int) -> bytes:
    return bytes(random.Random(seed).choices(range(97, 123), k=size))


def measure_overlap(val: list[tuple[bool, bytes]], train: Iterable[bytes]) -> OverlapInfo:
    comparison = Comparison(val, sum(len(piece) for _, piece in val))
    for piece in train:
        comparison.add(comparison.finder.compare([piece]))
    return comparison.result()


def measure(val: list[bytes], train: list[bytes]) -> OverlapInfo:
    return measure_overlap([(True, piece) for piece in val], train)


def test_other_text_is_not_shared() -> None:
    found = measure([text(5000, 1)], [text(50_000, 2)])
    assert (found.shared_windows, found.shared_documents, found.documents, found.share) == (0, 0, 1, 0.0)
    assert found.windows == (5000 - WINDOW_BYTES) // 16 + 1


@pytest.mark.parametrize("place", [0, 1, 63, 4097, BLOCK_BYTES - 70, BLOCK_BYTES - 1, 2 * BLOCK_BYTES - 300])
def test_a_copy_is_found_at_any_place_of_train(place: int) -> None:
    copied, filler = text(700, 1), text(3 * BLOCK_BYTES, 2)
    train = filler[:place] + copied + filler[place:]
    found = measure([copied], [train[i : i + 1000] for i in range(0, len(train), 1000)])
    assert found.shared_windows == found.windows > 30
    assert found.share == 1.0


def test_half_a_copy_is_half_shared() -> None:
    found = measure([text(6400, 1)], [text(6400, 1)[:3200], text(100, 5)])
    assert found.share == pytest.approx(0.5, abs=0.02)


def test_other_white_space_hides_nothing() -> None:
    words = [text(5, i) for i in range(200)]
    found = measure([b" ".join(words)], [b"\r\n\t".join(words)])
    assert found.share == 1.0


def test_documents_are_counted_by_half_of_their_windows() -> None:
    found = measure(
        [text(3000, 1), text(3000, 2), text(3000, 3)[:2000] + text(1000, 4)], [text(3000, 1), text(3000, 4)]
    )
    assert (found.documents, found.shared_documents) == (3, 1)


def test_pieces_of_one_document_count_as_one() -> None:
    pieces = [(True, text(1000, 1)), (False, text(1000, 2)), (True, text(1000, 3))]
    found = measure_overlap(pieces, [text(1000, 1) + text(1000, 2)])
    assert (found.documents, found.shared_documents) == (2, 1)


@pytest.mark.parametrize("val", [[], [b""], [b"short"], [b" " * 500]])
def test_too_little_validation_text_has_no_windows(val: list[bytes]) -> None:
    found = measure(val, [text(1000, 1)])
    assert (found.windows, found.documents, found.share) == (0, 0, 0.0)


def test_much_validation_text_has_a_bounded_number_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "MOST_WINDOWS", 100)
    found = measure([text(50_000, 1)], [text(50_000, 1)])
    assert found.windows == pytest.approx(100, abs=2)
    assert found.share == 1.0


@pytest.mark.parametrize("size", [1, 7, 63, 64, 65, 1000, BLOCK_BYTES, BLOCK_BYTES + 1])
def test_the_size_of_the_blocks_of_train_changes_nothing(size: int) -> None:
    train = (text(300, 1) + b"  " + text(2 * BLOCK_BYTES if size > 100 else 2000, 2) + text(300, 3)) * 2
    val = [text(290, 1), text(500, 4) + text(200, 3)]
    assert measure(val, [train[i : i + size] for i in range(0, len(train), size)]) == measure(val, [train])


def test_a_document_that_is_wholly_in_train_is_counted() -> None:
    found = measure([text(300, 1), text(300, 2)[:290] + text(50, 3), text(40, 1)], [text(300, 1) + text(300, 2)])
    assert (found.documents, found.shared_documents, found.contained_documents) == (2, 2, 1)
