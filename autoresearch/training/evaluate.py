"""val_bpb, bits per byte: the nats of a fixed span of validation text over ln 2 times its UTF-8 bytes.

The span begins after as much text as the longest context on the menu, so every scored token is conditioned on the
text before it. It is cut into windows that overlap by half: each scores its second half, with at least half a window of
context, and every token of the span is scored by exactly one window, for every batch_size and seq_len. Document
separators are conditioned on, never scored (they stand for zero bytes).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoresearch.data.span import Span
from autoresearch.data.windows import Tokens, windows
from autoresearch.errors import CorpusError

# (inputs (windows, seq_len), targets (windows, scored)) -> nats of each target (windows, scored), float32 or better
NatsOf = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.floating]]


@dataclass(frozen=True, slots=True)
class Score:
    """The total cross-entropy of the span in nats, and its scored tokens and bytes."""

    nats: float
    tokens: int
    bytes: int

    @property
    def bits_per_byte(self) -> float:
        return self.nats / (math.log(2.0) * self.bytes)

    @property
    def nats_per_token(self) -> float:
        return self.nats / self.tokens


def score(
    nats_of: NatsOf,
    val: Tokens,
    span: Span,
    token_bytes: NDArray[np.integer],
    seq_len: int,
    *,
    shard: tuple[int, int] = (0, 1),
    sum_over_shards: Callable[[Sequence[float]], Sequence[float]] = list,
    before_each_pass: Callable[[], None] = lambda: None,
) -> Score:
    """Sum the nats of the span in float64. ``nats_of`` may return any number where the target is -1.

    ``shard`` (which, of how many) divides the forward passes among processes; ``sum_over_shards`` then adds up their
    sums. ``before_each_pass`` is called once per pass of the first shard, equally often in every shard. Raises
    ``CorpusError`` if the scored bytes are not those of the span.
    """
    sums = np.zeros(3)
    index, shards = shard
    for number, (inputs, targets) in enumerate(windows(val, span, seq_len)):
        if number % shards == 0:
            before_each_pass()
        if number % shards != index:
            continue
        scored = (targets >= 0) & (token_bytes[np.maximum(targets, 0)] > 0)
        nats = nats_of(inputs, targets)[scored].astype(np.float64).sum()
        sums += (nats, scored.sum(), token_bytes[targets[scored]].sum())
    nats, tokens, size = sum_over_shards(sums.tolist())
    if size != span.bytes:
        raise CorpusError(f"scored {size:.0f} bytes of a span of {span.bytes}: the corpus has changed during the run")
    return Score(nats, int(tokens), int(size))
