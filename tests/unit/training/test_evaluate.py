"""val_bpb is bits per byte of a fixed span: against an independent computation, and against what is known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from autoresearch.data.span import Span
from autoresearch.data.windows import choose_span
from autoresearch.errors import CorpusError
from autoresearch.training.evaluate import score

VOCAB = 257  # bytes and a separator, which stands for none
TOKEN_BYTES = np.array([1] * 256 + [0])
CONTEXT = 64


def text(seed: int = 0, size: int = 3000) -> NDArray[np.uint16]:
    """Random bytes with a separator now and then."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 256, size)
    ids[rng.random(size) < 0.01] = 256
    return ids.astype(np.uint16)


def uniform(inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.floating]:
    return np.full(targets.shape, math.log(VOCAB), np.float32)


class BigramModel:
    """A fixed random bigram table: its nats can be computed without any window."""

    def __init__(self) -> None:
        logits = np.random.default_rng(1).normal(size=(VOCAB, VOCAB))
        self.nats_table = np.log(np.exp(logits).sum(1, keepdims=True)) - logits

    def __call__(self, inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.floating]:
        return self.nats_table[inputs[:, -targets.shape[1] :], np.maximum(targets, 0)]


@pytest.mark.parametrize("seq_len", [1, 7, 32, 64])
def test_it_equals_an_independent_sum_over_the_span(seq_len: int) -> None:
    model, val = BigramModel(), text()
    span = choose_span(val, TOKEN_BYTES, CONTEXT, 1500)
    result = score(model, val, span, TOKEN_BYTES, seq_len)
    here = np.arange(span.start, span.start + span.tokens)
    here = here[val[here] != 256]
    by_hand = sum(model.nats_table[int(val[i - 1]), int(val[i])] for i in here)
    assert result.nats == pytest.approx(by_hand, rel=1e-12)
    assert result.bits_per_byte == pytest.approx(by_hand / math.log(2) / len(here), rel=1e-12)
    assert result.nats_per_token == pytest.approx(by_hand / len(here), rel=1e-12)


def test_a_uniform_model_needs_log2_of_the_vocabulary_per_token() -> None:
    val = text()
    span = choose_span(val, TOKEN_BYTES, CONTEXT, 1500)
    result = score(uniform, val, span, TOKEN_BYTES, 32)
    assert result.bits_per_byte == pytest.approx(math.log2(VOCAB) * result.tokens / result.bytes)


def test_tokens_of_several_bytes_count_by_their_bytes() -> None:
    sizes = np.array([0, 1, 2, 5])
    val = np.tile([1, 2, 3, 0], 100)
    span = choose_span(val, sizes, 4, 200)
    result = score(lambda i, t: np.ones(t.shape), val, span, sizes, 4)
    assert result.bits_per_byte == pytest.approx(result.tokens / math.log(2) / span.bytes)
    assert result.bytes / result.tokens == pytest.approx(8 / 3, rel=0.02)


def test_separators_are_conditioned_on_and_not_scored() -> None:
    val = text()
    seen: list[NDArray[np.int64]] = []
    span = choose_span(val, TOKEN_BYTES, CONTEXT, 1500)
    result = score(lambda i, t: seen.append(i) or uniform(i, t), val, span, TOKEN_BYTES, 32)
    assert any((i == 256).any() for i in seen)
    assert result.tokens == int((val[span.start : span.start + span.tokens] != 256).sum()) == result.bytes


def test_nothing_that_is_not_scored_reaches_the_sum() -> None:
    def poisoned(inputs: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.floating]:
        return np.where(targets < 0, np.nan, 1.0)

    val = text()
    span = choose_span(val, TOKEN_BYTES, CONTEXT, 1501)
    assert score(poisoned, val, span, TOKEN_BYTES, 48).nats_per_token == 1.0


def test_the_sum_is_in_double_precision() -> None:
    val = np.zeros(2_000_000, np.uint16)
    span = Span(start=CONTEXT, tokens=len(val) - CONTEXT, bytes=len(val) - CONTEXT)
    result = score(lambda i, t: np.full(t.shape, 0.1, np.float32), val, span, TOKEN_BYTES, CONTEXT)
    assert result.nats == pytest.approx(float(np.float32(0.1)) * span.tokens, rel=1e-12)


def test_a_corpus_that_changed_under_the_run_is_noticed() -> None:
    val = text()
    span = choose_span(val, TOKEN_BYTES, CONTEXT, 1500)
    val[span.start] = 256 if val[span.start] != 256 else 0
    with pytest.raises(CorpusError, match="changed during the run"):
        score(uniform, val, span, TOKEN_BYTES, 32)
