"""The data order is the seed's alone."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from autoresearch.data.batches import batches

TOKENS = np.arange(10_000, dtype=np.uint16)


def first(n: int, **how: int) -> list[np.ndarray]:
    return list(islice(batches(TOKENS, **how), n))


def test_crops_are_contiguous_and_of_the_asked_shape() -> None:
    for batch in first(20, seed=0, batch_size=4, seq_len=32):
        assert batch.shape == (4, 33)
        assert batch.dtype == np.int64
        assert (np.diff(batch, axis=1) == 1).all()


def test_one_seed_one_order() -> None:
    one, again = (first(5, seed=3, batch_size=4, seq_len=32) for _ in range(2))
    other = first(5, seed=4, batch_size=4, seq_len=32)
    assert all((a == b).all() for a, b in zip(one, again, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


def test_a_candidate_reads_the_text_its_baseline_reads() -> None:
    """The k-th sequence begins at the same place whatever the batch size, and nearly so whatever the length."""
    small = np.concatenate(first(8, seed=0, batch_size=2, seq_len=32))[:, 0]
    large = np.concatenate(first(2, seed=0, batch_size=8, seq_len=32))[:, 0]
    longer = np.concatenate(first(2, seed=0, batch_size=8, seq_len=64))[:, 0]
    assert (small == large).all()
    assert (np.abs(longer - large) <= 32).all()


def test_any_stretch_of_the_order_covers_the_whole_corpus() -> None:
    starts = np.concatenate(first(25, seed=5, batch_size=4, seq_len=32))[:, 0]
    per_tenth = np.bincount(starts * 10 // (len(TOKENS) - 32), minlength=10)
    assert per_tenth.min() >= 9
    assert per_tenth.max() <= 11


def test_every_place_can_be_drawn_up_to_the_last() -> None:
    tiny = np.arange(6, dtype=np.uint16)
    starts = {int(b[0, 0]) for b in islice(batches(tiny, seed=0, batch_size=1, seq_len=3), 200)}
    assert starts == {0, 1, 2}


def test_a_split_of_exactly_one_crop_is_enough_and_a_shorter_one_is_not() -> None:
    assert next(batches(TOKENS[:33], seed=0, batch_size=2, seq_len=32)).shape == (2, 33)
    with pytest.raises(ValueError, match="32 tokens, fewer than one sequence of 32"):
        next(batches(TOKENS[:32], seed=0, batch_size=2, seq_len=32))
