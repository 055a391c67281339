"""Choose the scored span of the validation split, and cut it into windows that score each token once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from autoresearch.data.span import TOKENS_PER_FORWARD, Span
from autoresearch.errors import CorpusError

Tokens = NDArray[np.integer]


def choose_span(
    val: Tokens, token_bytes: NDArray[np.integer], context: int, target_bytes: int, split: str = "validation"
) -> Span:
    """The first ``target_bytes`` of the ``split`` (validation or test) after ``context`` tokens, or all of it.

    Raises ``CorpusError`` if the split holds less than a tenth of ``target_bytes`` after the context.
    """
    enough = 2 * target_bytes + 2  # tokens: documents are not empty, so at most every second one is a separator
    sizes = np.cumsum(token_bytes[val[context : context + enough]])
    if not len(sizes) or sizes[-1] * 10 < target_bytes:
        have = int(token_bytes[val].sum())
        hint = f"prepare a larger corpus, give {split} a larger share, or lower eval.bytes"
        raise CorpusError(f"the {split} split has {have} bytes: too few for {target_bytes} scored ones", hint=hint)
    count = min(int(np.searchsorted(sizes, target_bytes)) + 1, len(sizes))
    return Span(start=context, tokens=count, bytes=int(sizes[count - 1]))


def windows(val: Tokens, span: Span, seq_len: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Batches of ``inputs (n, seq_len)`` and the ``targets (n, scored)`` of their last positions; -1 is not scored.

    The last window is moved back to end with the span; targets that an earlier window has scored are -1 in it.
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
