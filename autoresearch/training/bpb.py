"""val_bpb, bits per byte: the nats of a fixed span of validation text over ln 2 times its UTF-8 bytes.

The span begins after as much text as the longest context on the menu, so every scored token is conditioned on what
precedes it. It is cut into windows that overlap by half: each scores its second half, with at least half a window of
context, and every token of the span is scored by exactly one window, whatever batch_size and seq_len are. Document
separators are conditioned on, never scored (they stand for no bytes).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autoresearch.errors import CorpusError
from autoresearch.training.spec import Span

EVALUATOR_VERSION = 1
TOKENS_PER_FORWARD = 4096  # a constant, so that no knob changes how the validation is batched

Tokens = NDArray[np.integer]
# (inputs (windows, seq_len), targets (windows, scored)) -> nats of each target (windows, scored), float32 or better
NatsOf = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.floating]]


@dataclass(frozen=True, slots=True)
class Score:
    """What a model needs for the span: nats in all, over how many scored tokens and bytes."""

    nats: float
    tokens: int
    bytes: int

    @property
    def bits_per_byte(self) -> float:
        return self.nats / (math.log(2.0) * self.bytes)

    @property
    def nats_per_token(self) -> float:
        return self.nats / self.tokens


def choose_span(val: Tokens, token_bytes: NDArray[np.integer], context: int, want_bytes: int) -> Span:
    """The first ``want_bytes`` of the validation split after ``context`` tokens, or all there is, in whole tokens.

    Raises ``CorpusError`` if the split holds less than a tenth of ``want_bytes`` behind the context.
    """
    enough = 2 * want_bytes + 2  # tokens: no document is empty, so at most every second one is a separator
    sizes = np.cumsum(token_bytes[val[context : context + enough]])
    if not len(sizes) or sizes[-1] * 10 < want_bytes:
        have = int(token_bytes[val].sum())
        hint = "prepare a larger corpus, give validation a larger share, or lower eval.bytes"
        raise CorpusError(f"the validation split has {have} bytes: too few for {want_bytes} scored ones", hint=hint)
    count = min(int(np.searchsorted(sizes, want_bytes)) + 1, len(sizes))
    return Span(start=context, tokens=count, bytes=int(sizes[count - 1]))


def windows(val: Tokens, span: Span, seq_len: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Batches of ``inputs (n, seq_len)`` and the ``targets (n, scored)`` of their last positions; -1 is not scored.

    The last window is moved back to end with the span, and what a window before it scored is marked -1 in it.
    """
    stride = max(1, seq_len // 2)
    end = span.start + span.tokens
    firsts = np.arange(span.start, end, stride)  # first target of each window
    moved = np.minimum(firsts, max(end - stride, 0))
    per_batch = max(1, TOKENS_PER_FORWARD // seq_len)
    for at in range(0, len(firsts), per_batch):
        first, begin = firsts[at : at + per_batch, None], moved[at : at + per_batch, None]
        inputs = val[begin + stride - 1 - seq_len + np.arange(seq_len)].astype(np.int64)
        where = begin + np.arange(stride)
        targets = np.where(where >= first, val[where].astype(np.int64), -1)
        yield inputs, targets


def score(
    nats_of: NatsOf,
    val: Tokens,
    span: Span,
    token_bytes: NDArray[np.integer],
    seq_len: int,
    *,
    part: tuple[int, int] = (0, 1),
    total: Callable[[Sequence[float]], Sequence[float]] = list,
    between: Callable[[], None] = lambda: None,
) -> Score:
    """Sum the nats of the span in float64. ``nats_of`` may return anything where the target is -1.

    ``part`` (which, of how many) shares out the work over processes, whose sums ``total`` then adds up. ``between`` is
    called before each forward pass, as often in every part. Raises ``CorpusError`` if the span does not have the bytes
    it should have.
    """
    sums = np.zeros(3)
    which, parts = part
    for number, (inputs, targets) in enumerate(windows(val, span, seq_len)):
        if number % parts == 0:
            between()
        if number % parts != which:
            continue
        scored = (targets >= 0) & (token_bytes[np.maximum(targets, 0)] > 0)
        nats = nats_of(inputs, targets)[scored].astype(np.float64).sum()
        sums += (nats, scored.sum(), token_bytes[targets[scored]].sum())
    nats, tokens, size = total(sums.tolist())
    if size != span.bytes:
        raise CorpusError(f"scored {size:.0f} bytes of a span of {span.bytes}: the corpus changed under the run")
    return Score(nats, int(tokens), int(size))
