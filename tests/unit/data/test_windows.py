"""The scored span and its windows: every token once, each with enough context."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from autoresearch.data.span import Span
from autoresearch.data.windows import choose_span, windows
from autoresearch.errors import CorpusError

TOKEN_BYTES = np.array([1] * 256 + [0])


CONTEXT = 64


def text(seed: int = 0, size: int = 3000) -> NDArray[np.uint16]:
    """Random bytes with a separator now and then."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 256, size)
    ids[rng.random(size) < 0.01] = 256
    return ids.astype(np.uint16)


@given(seq_len=st.integers(1, CONTEXT), span_tokens=st.integers(1, 700), start=st.integers(CONTEXT, 200))
def test_every_token_of_the_span_is_scored_exactly_once(seq_len: int, span_tokens: int, start: int) -> None:
    positions = np.arange(1000)  # ids that say where they stand
    scored: list[int] = []
    for inputs, targets in windows(positions, Span(start=start, tokens=span_tokens, bytes=1), seq_len):
        assert inputs.shape == (len(targets), seq_len)
        for row_in, row_out in zip(inputs, targets, strict=True):
            wanted = row_out[row_out >= 0]
            assert row_in[-1] == row_in[0] + seq_len - 1, "one contiguous window"
            assert all(b == a + 1 for a, b in pairwise(wanted))
            if len(wanted):  # its last input is the token right before its last target
                assert row_in[-1] == wanted[-1] - 1
            scored.extend(wanted)
    assert scored == list(range(start, start + span_tokens))


@given(seq_len=st.integers(2, CONTEXT))
def test_a_token_has_at_least_half_a_window_of_context(seq_len: int) -> None:
    positions = np.arange(1000)
    for inputs, targets in windows(positions, Span(start=CONTEXT, tokens=333, bytes=1), seq_len):
        for row_in, row_out in zip(inputs, targets, strict=True):
            wanted = row_out[row_out >= 0]
            assert not len(wanted) or wanted[0] - row_in[0] >= seq_len - max(1, seq_len // 2)


class TestChoosingTheSpan:
    def test_it_begins_behind_the_longest_context_and_holds_the_bytes_asked_for(self) -> None:
        span = choose_span(text(), TOKEN_BYTES, CONTEXT, 1000)
        assert span.start == CONTEXT
        assert span.bytes == 1000

    def test_a_shorter_split_is_scored_whole(self) -> None:
        val = text(size=500)
        span = choose_span(val, TOKEN_BYTES, CONTEXT, 1000)
        assert span.start + span.tokens == len(val)

    @pytest.mark.parametrize("size", [0, 1, CONTEXT, CONTEXT + 50])
    def test_far_too_little_text_is_refused_with_both_numbers(self, size: int) -> None:
        with pytest.raises(CorpusError, match="too few for 1000"):
            choose_span(text(size=size), TOKEN_BYTES, CONTEXT, 1000)
