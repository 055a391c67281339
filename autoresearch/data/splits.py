"""Assign documents to train, validation and test, so that equal documents are never in two of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from autoresearch.data.corpus import SPLITS, Split, SplitBy
from autoresearch.data.text_spool import TextSpool, cut_position
from autoresearch.errors import CorpusError

Ranges = NDArray[np.int64]  # (pieces of the spooled text, 2): first byte and end
Fractions = tuple[float, float, float]

LARGEST_SHARE = 1 / 3  # of the bytes in one document: above it, splits by document would be uneven
SMALLEST_FILL = 1 / 4  # of its fraction: a split with less has too few documents
MOST_SLACK_BYTES = 1 << 21  # between the cut of a span and its place by the fractions


def unique_documents(spool: TextSpool) -> tuple[Ranges, NDArray[np.uint64]]:
    """The first of each set of equal documents, in order, and a draw for each: pseudo-random, fixed by its text."""
    ends = np.frombuffer(spool.ends, np.int64)
    kept = _first_of_equals(np.frombuffer(spool.hashes, np.uint64).reshape(-1, 2))
    documents = np.zeros((int(kept.sum()), 2), np.int64)
    documents[1:, 0] = ends[:-1][kept[1:]]  # the first document is always kept
    documents[:, 1] = ends[kept]
    return documents, np.frombuffer(spool.hashes, np.uint64)[::2][kept]


def _first_of_equals(keys: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which keys, ``(n, 2)``, equal no earlier one. Few bytes per key are needed: there may be tens of millions."""
    order = np.argsort(keys[:, 0], kind="stable")
    ordered = keys[order, 0]
    same = ordered[1:] == ordered[:-1]
    del ordered
    close = np.zeros(len(keys), bool)  # keys that have the first half of another
    close[order[1:][same]] = True
    close[order[:-1][same]] = True
    del order, same
    (at,) = close.nonzero()
    sorted_close = at[np.lexsort((keys[at, 1], keys[at, 0]))]  # stable: equal ones stay in their order
    equal = (keys[sorted_close[1:]] == keys[sorted_close[:-1]]).all(axis=1)
    first = np.ones(len(keys), bool)
    first[sorted_close[1:][equal]] = False
    return first


def assign_to_splits(spool: TextSpool, fractions: Fractions) -> tuple[SplitBy, dict[Split, Ranges]]:
    """Assign each unique document to a split by the hash of its text.

    If that leaves a split too small, the splits are three consecutive spans of the unique documents instead.
    """
    documents, draws = unique_documents(spool)
    edges = np.cumsum(fractions)[:2]
    split = np.searchsorted(edges, draws / 2.0**64, side="right").astype(np.int8)
    del draws
    sizes = documents[:, 1] - documents[:, 0]
    total = int(sizes.sum())
    filled = np.bincount(split, weights=sizes, minlength=3) >= SMALLEST_FILL * total * np.array(fractions)
    if filled.all() and sizes.max() <= LARGEST_SHARE * total:
        return "document", {name: documents[split == i] for i, name in enumerate(SPLITS)}
    bounds = _span_bounds(spool, documents, edges, min(fractions))
    return "span", {name: _between(documents, bounds[i], bounds[i + 1]) for i, name in enumerate(SPLITS)}


def range_bytes(ranges: Ranges) -> int:
    """Total bytes of the ranges."""
    return int((ranges[:, 1] - ranges[:, 0]).sum())


def _span_bounds(spool: TextSpool, documents: Ranges, edges: NDArray[np.float64], smallest: float) -> list[int]:
    """Places in the unique text: 0, end of train, end of val, its size."""
    ends = np.cumsum(documents[:, 1] - documents[:, 0])
    total = int(ends[-1])
    slack = int(max(4, min(total * smallest / 2, MOST_SLACK_BYTES)))  # 4 bytes hold the start of a character
    cuts = [_cut(spool, documents, ends, int(target), slack) for target in edges * total]
    if not 0 < cuts[0] < cuts[1] < total:
        repeated = f" (and {spool.size - total} bytes of repeated documents)" if spool.size > total else ""
        what = f"{total} bytes of text{repeated} are too few for train, val and test"
        raise CorpusError(what, hint="give more text: even a first try needs 100 kB")
    return [0, *cuts, total]


def _cut(spool: TextSpool, documents: Ranges, ends: Ranges, target: int, slack: int) -> int:
    """A place at most ``slack`` before ``target``: between two documents, or else at the end of a line, if there is."""
    at = int(np.searchsorted(ends, target, side="right"))
    end, start = int(ends[at]), int(documents[at, 0])
    begin = end - (int(documents[at, 1]) - start)
    if begin > 0 and target - slack <= begin:
        return begin
    low = max(begin, target - slack)
    return low + cut_position(spool.read(start + low - begin, start + target - begin))


def _between(documents: Ranges, first: int, last: int) -> Ranges:
    """The parts of the documents from place ``first`` to ``last`` in the unique text."""
    sizes = documents[:, 1] - documents[:, 0]
    ends = np.cumsum(sizes)
    places = np.stack([ends - sizes, ends], axis=1)
    parts: Ranges = places.clip(first, last) + (documents[:, :1] - places[:, :1])
    return parts[parts[:, 0] < parts[:, 1]]
