"""Write a corpus: read, assign text to splits, train the tokenizer, encode, and finally rename the directory.

Text passes through a temporary file beside the corpus: memory holds one document and one batch, never the corpus.
"""

from __future__ import annotations

import errno
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from autoresearch.data.build_directory import build_directory
from autoresearch.data.corpus import (
    FORMAT,
    SPLITS,
    Corpus,
    Dtype,
    Manifest,
    OverlapInfo,
    PreparationInfo,
    SourceInfo,
    Split,
    SplitInfo,
    TokenizerInfo,
)
from autoresearch.data.document import Document, LeftOut
from autoresearch.data.encoder_pool import usable_processes
from autoresearch.data.overlap import Comparison
from autoresearch.data.splits import Fractions, Ranges, assign_to_splits, range_bytes, unique_documents
from autoresearch.data.text_spool import TextSpool
from autoresearch.data.token_files import Progress, TokenFiles, with_progress
from autoresearch.data.tokenizer import Tokenizer, TokenizerSpec, train_bpe
from autoresearch.data.training_sample import cut_long_runs, spread_evenly
from autoresearch.errors import ConfigError, CorpusError
from autoresearch.machine import explain_os_error, limit_named_in
from autoresearch.storage.files import atomic_write, fsync_dir

FRACTIONS = (0.90, 0.05, 0.05)
SMALLEST_SHARED_BYTES = 8 << 20  # of text: less is encoded before other processes would have started
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
    notify: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Write the corpus of ``documents`` to ``out``, completely or not at all; ``names`` of the sources are recorded.

    Equal documents are kept once. ``left_out`` is what the reading of ``documents`` counts.
    An ``out`` that holds the corpus of the same sources and settings is left as it is. ``progress`` is called with the
    stage and its fraction done, ``notify`` with what the user should know. Needs free disk space for the text and the
    tokens. Raises ``CorpusError`` if there is
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
        comparison = _compare(spool, ranges["val"], report)
        sample_bytes = None
        if ready is None:
            ready, sample_bytes = _train(spool, ranges["train"], tokenizer, report)
        dtype: Dtype = "uint16" if ready.vocab <= 1 << 16 else "uint32"
        splits = _encode(spool, ranges, TokenFiles(work, ready, dtype, report, notify), comparison, work)
        manifest = Manifest(
            format=FORMAT,
            source=source,
            tokenizer=_describe(ready, tokenizer, sample_bytes),
            dtype=dtype,
            split_by=split_by,
            fractions=fractions,
            splits=splits,
            token_bytes=ready.token_bytes,
            preparation=_describe_preparation(spool, left_out or LeftOut(), comparison.result()),
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


def _describe_preparation(spool: TextSpool, left_out: LeftOut, overlap: OverlapInfo) -> PreparationInfo:
    """What was dropped, and the overlap of the splits."""
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


def _train(spool: TextSpool, ranges: Ranges, spec: TokenizerSpec, report: Progress) -> tuple[Tokenizer, int | None]:
    """The tokenizer, and the bytes that it was trained on if that was not all of ``ranges``."""
    trained, size = 0, range_bytes(ranges)

    def texts() -> Iterator[str]:
        nonlocal trained
        pieces = with_progress(spool.pieces(ranges), "train tokenizer", size, report)
        for piece in spread_evenly((text for _, text in pieces), size):
            trained += len(piece)
            yield from cut_long_runs(piece.decode())

    try:
        tokenizer = train_bpe(texts(), spec.vocab_size)
    except BaseException as e:  # a panic of the tokenizers library is not an Exception
        if limit_named_in(e) is None:
            raise
        what, hint = explain_os_error(BlockingIOError(limit_named_in(e), str(e)))
        raise CorpusError(f"the tokenizer cannot be trained: {what}", hint=f"{hint}; or --tokenizer byte") from e
    return tokenizer, trained if trained < size else None


def _compare(spool: TextSpool, ranges: Ranges, report: Progress) -> Comparison:
    size = range_bytes(ranges)
    return Comparison(with_progress(spool.pieces(ranges), "read validation", size, report), size)


def _encode(
    spool: TextSpool, ranges: dict[Split, Ranges], token_files: TokenFiles, comparison: Comparison, work: Path
) -> dict[Split, SplitInfo]:
    """Write the token files, in processes where that is faster than to start them, and compare train meanwhile."""
    with tempfile.TemporaryFile(dir=work) as windows:
        comparison.share_finder(windows)
        count = usable_processes() if spool.size >= SMALLEST_SHARED_BYTES else 1
        with token_files.encoder(comparison.finder, windows.fileno(), count) as encoder:
            return {
                name: token_files.write(encoder, name, spool, ranges[name], comparison if name == "train" else None)
                for name in SPLITS
            }


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


def _describe(tokenizer: Tokenizer, spec: TokenizerSpec, sample_bytes: int | None) -> TokenizerInfo:
    return TokenizerInfo(
        kind=tokenizer.kind,
        requested_vocab=spec.vocab_size if spec.kind == "bpe" else None,
        vocab=tokenizer.vocab,
        separator=tokenizer.separator,
        sha256=tokenizer.sha256,
        sample_bytes=sample_bytes,
    )


def _publish(work: Path, out: Path, manifest: Manifest, tokenizer: Tokenizer) -> None:
    """Complete ``work`` and rename it to ``out``, durably: from then on the corpus is complete.

    The same corpus may be there by now: another process has prepared it too. Raises ``CorpusError`` for another one.
    """
    atomic_write(work / "tokenizer.json", tokenizer.to_json().encode())
    atomic_write(work / "manifest.json", manifest.to_json())
    work.chmod(0o755)  # mkdtemp makes it private; the service runs as another user
    try:
        os.rename(work, out)  # refuses to replace anything but an empty directory
    except OSError as e:
        if e.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if _existing(out) != manifest:
            raise CorpusError(f"another process has written another corpus to {out}", hint=OUT_TAKEN_HINT) from e
    fsync_dir(out.parent)
