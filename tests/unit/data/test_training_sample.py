"""A tokenizer is trained on a bounded part of the text that is spread over all of it."""

from __future__ import annotations

import itertools

import pytest

from autoresearch.data.training_sample import cut_long_runs, spread_evenly


@pytest.mark.parametrize(("size", "most"), [(100, 200), (1000, 200), (1000, 1), (999, 500)])
def test_a_sample_for_the_tokenizer_is_bounded_and_spread_evenly(size: int, most: int) -> None:
    pieces = [bytes([i % 256]) * 10 for i in range(-(-size // 10))]
    sample = list(spread_evenly(pieces, 10 * len(pieces), most))
    assert len(b"".join(sample)) <= max(most + 10, 10)
    if size <= most:
        assert sample == pieces
    elif most > 10:
        places = [pieces.index(piece) for piece in sample]
        assert max(b - a for a, b in itertools.pairwise(places)) <= 2 * size / most + 1


def test_long_runs_without_white_space_are_cut_and_nothing_is_lost() -> None:
    text = "some words " + "x" * 5000 + " and\n" + "y" * 1024
    parts = list(cut_long_runs(text))
    assert "".join(parts) == text
    assert max(len(word) for part in parts for word in part.split()) <= 1024
