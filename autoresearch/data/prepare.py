"""Write a corpus: read, assign text to splits, train the tokenizer, encode, and finally rename the directory.

Text passes through a temporary file beside the corpus: memory holds one document and one batch, never the corpus.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from autoresearch.data.build_directory import build_directory
from autoresearch.data.corpus import (
    FORMAT,
    SPLITS,
    Corpus,
    Dtype,
    Manifest,
    PreparationInfo,
    SourceInfo,
    Split,
    SplitInfo,
    TokenizerInfo,
    little_endian,
)
from autoresearch.data.document import Document, LeftOut
from autoresearch.data.overlap import measure_overlap
from autoresearch.data.splits import Fractions, Ranges, assign_to_splits, range_bytes, unique_documents
from autoresearch.data.text_spool import TextSpool
from autoresearch.data.tokenizer import Ids, Tokenizer, TokenizerSpec, train_bpe
from autoresearch.errors import ConfigError, CorpusError
from autoresearch.storage.files import atomic_write, fsync_dir

Progress = Callable[[str, float], None]
Piece = tuple[bool, bytes]  # whether a document begins here, and its text or a piece of it

FRACTIONS = (0.90, 0.05, 0.05)
BATCH_BYTES = 1 << 21  # the encoder needs about a hundred times this
BATCH_PIECES = 4096
LONG_RUN = re.compile(r"\S{1024}")
SAMPLE_BYTES = 1 << 24  # of train that a bpe tokenizer is trained on: its memory grows with the number of words
OUT_TAKEN_HINT = "choose another --out, or remove it yourself"


def prepare(
    documents: Iterable[Document],
    out: Path,
    *,
    names: Sequence[str],
    tokenizer: TokenizerSpec,
    fractions: Fractions = FRACTIONS,
    progress: Progress | None = None,
    left_out: LeftOut | None = None,
) -> Manifest:
    """Write the corpus of ``documents`` to ``out``, completely or not at all; ``names`` of the sources are recorded.

    Equal documents are kept once. ``left_out`` is what the reading of ``documents`` counts.
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
        split_by, ranges = assign_to_splits(spool, fractions)
        preparation = _describe_preparation(spool, left_out or LeftOut(), ranges, report)
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
            preparation=preparation,
        ).sealed()
        _publish(work, out, manifest, ready)
    return manifest


def _read(documents: Iterable[Document], names: Sequence[str], spool: TextSpool) -> SourceInfo:
    for document in documents:
        spool.add(document)
    spool.finish()
    if not spool.size:
        raise CorpusError(f"0 bytes of text in {', '.join(names)}", hint="give sources that are not empty")
    return SourceInfo(
        names=tuple(names),
        documents=len(spool.ends),
        bytes=spool.size,
        documents_with_replacements=spool.replaced_documents,
        sha256=spool.sha256,
    )


def _describe_preparation(
    spool: TextSpool, left_out: LeftOut, splits: dict[Split, Ranges], report: Progress
) -> PreparationInfo:
    """What was dropped, and the overlap of the splits."""
    train = _with_progress(spool.pieces(splits["train"]), "compare validation with train", splits["train"], report)
    overlap = measure_overlap(spool.pieces(splits["val"]), (piece for _, piece in train), range_bytes(splits["val"]))
    kept, _ = unique_documents(spool)
    return PreparationInfo(
        duplicate_documents=len(spool.ends) - len(kept),
        duplicate_bytes=spool.size - range_bytes(kept),
        blank_documents=spool.blank,
        bad_lines=left_out.bad_lines,
        other_files=dict(left_out.files),
        undecodable_files=left_out.undecodable_files,
        undecodable=tuple(left_out.undecodable),
        replaced_characters=spool.replaced_characters,
        most_replaced=spool.replaced,
        overlap=overlap,
    )


def _train(spool: TextSpool, ranges: Ranges, spec: TokenizerSpec, report: Progress) -> Tokenizer:
    pieces = _with_progress(spool.pieces(ranges), "train tokenizer", ranges, report)
    sample = _sample((text for _, text in pieces), range_bytes(ranges), SAMPLE_BYTES)
    texts = (text for piece in sample for text in _cut_long_runs(piece.decode()))
    return train_bpe(texts, spec.vocab_size)


def _cut_long_runs(text: str) -> Iterator[str]:
    """``text`` in parts, so that no run without white space is long: the trainer needs quadratic time for one."""
    start = 0
    for run in LONG_RUN.finditer(text):
        yield text[start : run.end()]
        start = run.end()
    yield text[start:]


def _sample(pieces: Iterable[bytes], size: int, most: int) -> Iterator[bytes]:
    """Pieces spread evenly over all ``size`` bytes, ``most`` bytes or a piece more; all if they are fewer."""
    seen = taken = 0
    for piece in pieces:
        seen += len(piece)
        if taken * size <= (seen - len(piece)) * most or size <= most:
            taken += len(piece)
            yield piece


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
    return SplitInfo(documents=len(ranges), bytes=range_bytes(ranges), tokens=tokens, sha256=digest.hexdigest())


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
    total, done, percent = max(range_bytes(ranges), 1), 0, 0
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


def _check_same(out: Path, existing: Manifest, source: SourceInfo, fractions: Fractions, same_tokenizer: bool) -> None:
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


def _publish(work: Path, out: Path, manifest: Manifest, tokenizer: Tokenizer) -> None:
    """Complete ``work`` and rename it to ``out``, durably: from then on the corpus is complete."""
    atomic_write(work / "tokenizer.json", tokenizer.to_json().encode())
    atomic_write(work / "manifest.json", manifest.to_json())
    work.chmod(0o755)  # mkdtemp makes it private; the service runs as another user
    os.rename(work, out)  # refuses to replace anything but an empty directory
    fsync_dir(out.parent)
