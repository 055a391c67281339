"""Write a corpus: read, assign text to splits, train the tokenizer, encode, and finally rename the directory.

Text passes through a temporary file beside the corpus: memory holds one document and one batch, never the corpus.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoresearch.data.corpus import (
    FORMAT,
    SPLITS,
    Corpus,
    Dtype,
    Manifest,
    SourceInfo,
    SplitBy,
    SplitInfo,
    TokenizerInfo,
    little_endian,
)
from autoresearch.data.sources import Document
from autoresearch.data.text_spool import TextSpool, cut_position
from autoresearch.data.tokenizer import Ids, Tokenizer, TokenizerSpec, train_bpe
from autoresearch.errors import ConfigError, CorpusError
from autoresearch.storage.files import atomic_write, fsync_dir

Progress = Callable[[str, float], None]
Piece = tuple[bool, bytes]  # whether a document begins here, and its text or a piece of it
Ranges = NDArray[np.int64]  # (pieces of the spooled text, 2): first byte and end

FRACTIONS = (0.90, 0.05, 0.05)
LARGEST_SHARE = 1 / 3  # of the bytes in one document: above it, splits by document would be uneven
SMALLEST_FILL = 1 / 4  # of its fraction: a split with less has too few documents
BATCH_BYTES = 1 << 21  # the encoder needs about a hundred times this
BATCH_PIECES = 4096
OUT_TAKEN_HINT = "choose another --out, or remove it yourself"


def prepare(
    documents: Iterable[Document],
    out: Path,
    *,
    names: Sequence[str],
    tokenizer: TokenizerSpec,
    fractions: tuple[float, float, float] = FRACTIONS,
    progress: Progress | None = None,
) -> Manifest:
    """Write the corpus of ``documents`` to ``out``, completely or not at all; ``names`` of the sources are recorded.

    An ``out`` that holds the corpus of the same sources and settings is left as it is. ``progress`` is called with the
    stage and its fraction done. Needs free disk space for the text and the tokens. Raises ``CorpusError`` if there is
    too little text, or ``out`` holds anything else or cannot be written; ``ConfigError`` for invalid fractions.
    """
    if not all(0 < fraction < 1 for fraction in fractions) or not math.isclose(sum(fractions), 1):
        raise ConfigError(
            f"fractions {fractions} for train, val and test are invalid",
            hint="give three positive numbers that sum to 1",
        )
    out = Path(os.path.realpath(out))
    existing = _existing(out)
    ready = tokenizer.fixed()
    report = progress or (lambda _stage, _fraction: None)
    with build_directory(out, "the corpus") as work, tempfile.TemporaryFile(dir=work) as file:
        report("read", 0.0)
        spool = TextSpool(file)
        source = _read(documents, names, spool)
        report("read", 1.0)
        if existing:
            _check_same(out, existing, source, fractions, _is_same_tokenizer(existing.tokenizer, tokenizer, ready))
            return existing
        split_by, ranges = _assign_to_splits(spool, fractions)
        ready = ready or _train(spool, ranges["train"], tokenizer, report)
        dtype: Dtype = "uint16" if ready.vocab <= 1 << 16 else "uint32"
        splits = {name: _encode(spool, ranges[name], ready, work / f"{name}.bin", dtype, report) for name in SPLITS}
        manifest = Manifest(
            format=FORMAT,
            source=source,
            tokenizer=_describe(ready, tokenizer),
            dtype=dtype,
            split_by=split_by,
            fractions=fractions,
            splits=splits,
            token_bytes=ready.token_bytes,
        ).sealed()
        _publish(work, out, manifest, ready)
    return manifest


def _read(documents: Iterable[Document], names: Sequence[str], spool: TextSpool) -> SourceInfo:
    for document in documents:
        spool.add(document)
    if not spool.size:
        raise CorpusError(f"0 bytes of text in {', '.join(names)}", hint="give sources that are not empty")
    return SourceInfo(
        names=tuple(names),
        documents=len(spool.ends),
        bytes=spool.size,
        documents_with_replacements=spool.replaced,
        sha256=spool.sha256,
    )


def _assign_to_splits(spool: TextSpool, fractions: tuple[float, float, float]) -> tuple[SplitBy, dict[str, Ranges]]:
    """Assign documents to splits by the hash of their text, so that a duplicate cannot leak into another split.

    If that leaves a split too small, the splits are three consecutive spans of the whole text instead.
    """
    ends = np.array(spool.ends, np.int64)
    documents = np.stack([ends - np.diff(ends, prepend=0), ends], axis=1)
    edges = np.cumsum(fractions)[:2]
    split = np.searchsorted(edges, np.array(spool.draws) / 2.0**64, side="right")
    sizes = documents[:, 1] - documents[:, 0]
    filled = np.bincount(split, weights=sizes, minlength=3) >= SMALLEST_FILL * spool.size * np.array(fractions)
    if filled.all() and sizes.max() <= LARGEST_SHARE * spool.size:
        return "document", {name: documents[split == i] for i, name in enumerate(SPLITS)}
    bounds = _span_bounds(spool, edges, min(fractions))
    spans = {name: documents.clip(bounds[i], bounds[i + 1]) for i, name in enumerate(SPLITS)}
    return "span", {name: span[span[:, 0] < span[:, 1]] for name, span in spans.items()}


def _span_bounds(spool: TextSpool, edges: NDArray[np.float64], smallest: float) -> list[int]:
    """Byte offsets: 0, end of train, end of val, size. A cut is at the end of a line if one is near enough."""
    slack = max(4, min(spool.size * smallest / 2, BATCH_BYTES))  # 4 bytes hold the start of a character
    targets = (edges * spool.size).astype(int).tolist()
    lows = [max(0, int(target - slack)) for target in targets]
    cuts = [low + cut_position(spool.read(low, target)) for low, target in zip(lows, targets, strict=True)]
    if not 0 < cuts[0] < cuts[1] < spool.size:
        hint = "give more text: even a first try needs 100 kB"
        raise CorpusError(f"{spool.size} bytes of text are too few for train, val and test", hint=hint)
    return [0, *cuts, spool.size]


def _train(spool: TextSpool, ranges: Ranges, spec: TokenizerSpec, report: Progress) -> Tokenizer:
    pieces = _with_progress(spool.pieces(ranges), "train tokenizer", ranges, report)
    return train_bpe((data.decode() for _, data in pieces), spec.vocab_size)


def _encode(
    spool: TextSpool, ranges: Ranges, tokenizer: Tokenizer, path: Path, dtype: Dtype, report: Progress
) -> SplitInfo:
    """Write one token file, durably."""
    digest, tokens = hashlib.sha256(), 0
    with path.open("wb") as file:
        for batch in _batches(_with_progress(spool.pieces(ranges), f"encode {path.stem}", ranges, report)):
            ids = _ids(batch, tokenizer).astype(little_endian(dtype))
            tokens += len(ids)
            digest.update(ids.tobytes())
            file.write(ids.tobytes())
        file.flush()
        os.fsync(file.fileno())
    return SplitInfo(documents=len(ranges), bytes=_size(ranges), tokens=tokens, sha256=digest.hexdigest())


def _ids(batch: Sequence[Piece], tokenizer: Tokenizer) -> Ids:
    """The ids of a batch, with a separator before each document that begins in it."""
    separator = np.array([tokenizer.separator], np.uint32)
    parts: list[Ids] = []
    encoded = tokenizer.encode_batch([text.decode() for _, text in batch])
    for (opens, _), ids in zip(batch, encoded, strict=True):
        if opens:
            parts.append(separator)
        parts.append(ids)
    return np.concatenate(parts)


def _with_progress(pieces: Iterable[Piece], stage: str, ranges: Ranges, report: Progress) -> Iterator[Piece]:
    """Yield the pieces and report progress at each per cent of the bytes of ``ranges``."""
    total, done, percent = max(_size(ranges), 1), 0, 0
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


def _existing(out: Path) -> Manifest | None:
    """The manifest of the corpus in ``out``, ``None`` if it is free. Raises ``CorpusError`` for any other content."""
    try:
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return None
        return Corpus.open(out, verify=True).manifest
    except OSError as e:
        raise CorpusError(f"cannot read {out}: {e.strerror}", hint=OUT_TAKEN_HINT) from e
    except CorpusError as e:
        raise CorpusError(
            f"{out} is not empty and does not hold a complete corpus, so nothing is written: {e.what}",
            hint=OUT_TAKEN_HINT,
        ) from e


def _check_same(
    out: Path, existing: Manifest, source: SourceInfo, fractions: tuple[float, float, float], same_tokenizer: bool
) -> None:
    same = {"source": existing.source == source, "fractions": existing.fractions == fractions}
    differing = [what for what, is_same in (same | {"tokenizer": same_tokenizer}).items() if not is_same]
    if differing:
        raise CorpusError(
            f"{out} holds another corpus, with another {', another '.join(differing)}", hint=OUT_TAKEN_HINT
        )


def _is_same_tokenizer(existing: TokenizerInfo, spec: TokenizerSpec, ready: Tokenizer | None) -> bool:
    """Compare without training: the same text and the same maximal vocabulary would train the same tokenizer."""
    if ready:
        return existing.sha256 == ready.sha256
    return (existing.kind, existing.requested_vocab) == (spec.kind, spec.vocab_size)


def _describe(tokenizer: Tokenizer, spec: TokenizerSpec) -> TokenizerInfo:
    return TokenizerInfo(
        kind=tokenizer.kind,
        requested_vocab=spec.vocab_size if spec.kind == "bpe" else None,
        vocab=tokenizer.vocab,
        separator=tokenizer.separator,
        sha256=tokenizer.sha256,
    )


@contextmanager
def build_directory(out: Path, what: str) -> Iterator[Path]:
    """A temporary directory beside ``out`` to build ``what`` in; removed at the end unless it was renamed.

    Raises ``CorpusError`` for every ``OSError`` in the block.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except OSError as e:
        hint = f"check the permissions of {out.parent} and the space on its disk"
        raise CorpusError(f"cannot write {what} to {out}: {e.strerror or e}", hint=hint) from e


def _publish(work: Path, out: Path, manifest: Manifest, tokenizer: Tokenizer) -> None:
    """Complete ``work`` and rename it to ``out``, durably: from then on the corpus is complete."""
    atomic_write(work / "tokenizer.json", tokenizer.to_json().encode())
    atomic_write(work / "manifest.json", manifest.to_json())
    work.chmod(0o755)  # mkdtemp makes it private; the service runs as another user
    os.rename(work, out)  # refuses to replace anything but an empty directory
    fsync_dir(out.parent)


def _size(ranges: Ranges) -> int:
    return int((ranges[:, 1] - ranges[:, 0]).sum())
