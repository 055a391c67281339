"""Token files: the pieces of a split, encoded in order, hashed and written durably."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import numpy as np

from autoresearch.data.corpus import Dtype, Split, SplitInfo
from autoresearch.data.encoder_pool import EncoderPool, LocalEncoder, encoder_pool
from autoresearch.data.encoder_process import EncoderSettings
from autoresearch.data.encoding import Piece, PieceEncoder
from autoresearch.data.overlap import Comparison
from autoresearch.data.splits import Ranges, range_bytes
from autoresearch.data.text_spool import TextSpool
from autoresearch.data.tokenizer import Tokenizer
from autoresearch.data.window_finder import WindowFinder
from autoresearch.data.words import word_boundary

Progress = Callable[[str, float], None]  # stage, fraction done

BATCH_BYTES = 1 << 19  # a fraction of a second of encoding
BATCH_PIECES = 4096


class TokenFiles:
    """Writes the token files of one corpus to ``folder``."""

    def __init__(
        self,
        folder: Path,
        tokenizer: Tokenizer,
        dtype: Dtype,
        report: Progress,
        notify: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._folder = folder
        self._tokenizer = tokenizer
        self._dtype: Dtype = dtype
        self._report = report
        self._notify = notify

    def encoder(
        self, finder: WindowFinder, windows: int, count: int
    ) -> AbstractContextManager[EncoderPool | LocalEncoder]:
        """What encodes, in ``count`` processes; ``finder`` is also in the file ``windows``."""
        local = PieceEncoder(self._tokenizer, self._dtype, finder)
        settings = EncoderSettings(self._tokenizer.to_json(), self._dtype, windows)
        return encoder_pool(local, settings, count, self._notify)

    def write(
        self,
        encoder: EncoderPool | LocalEncoder,
        name: Split,
        spool: TextSpool,
        ranges: Ranges,
        comparison: Comparison | None,
    ) -> SplitInfo:
        """Write one file; ``comparison`` compares its text with validation."""
        size = range_bytes(ranges)
        pieces = with_progress(spool.pieces(ranges, word_boundary), f"encode {name}", size, self._report)
        batches = ((batch, comparison is not None) for batch in _batches(pieces))
        digest, written = hashlib.sha256(), 0
        with (self._folder / f"{name}.bin").open("wb") as file, closing(encoder.encode(batches)) as results:
            for ids, compared in results:
                digest.update(ids)
                written += file.write(ids)
                if comparison and compared:
                    comparison.add(compared)
            file.flush()
            os.fsync(file.fileno())
        tokens = written // np.dtype(self._dtype).itemsize
        return SplitInfo(documents=len(ranges), bytes=size, tokens=tokens, sha256=digest.hexdigest())


def with_progress(pieces: Iterable[Piece], stage: str, size: int, report: Progress) -> Iterator[Piece]:
    """Yield the pieces and report progress at each per cent of their ``size`` bytes."""
    total, done, percent = max(size, 1), 0, 0
    report(stage, 0.0)
    for piece in pieces:
        yield piece
        done += len(piece[1])
        if done * 100 // total > percent:
            percent = done * 100 // total
            report(stage, done / total)


def _batches(pieces: Iterable[Piece]) -> Iterator[list[Piece]]:
    batch: list[Piece] = []
    size = 0
    for piece in pieces:
        batch.append(piece)
        size += len(piece[1])
        if size >= BATCH_BYTES or len(batch) >= BATCH_PIECES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
