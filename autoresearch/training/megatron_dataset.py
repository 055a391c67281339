"""A prepared corpus as Megatron's indexed dataset, for the trainers that recipes are exported to.

    train.bin  train.idx  val.bin  val.idx     document by document, the separator at the end of each
    dataset.json                               a description; written last

Our corpus has the separator before each document, Megatron's data set after it: the same stream of tokens, starting one
token later. The test split is not exported.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autoresearch.data.build_directory import build_directory
from autoresearch.data.corpus import Corpus
from autoresearch.errors import CorpusError, missing_extra
from autoresearch.storage.files import atomic_write, fsync_dir

Progress = Callable[[str, float], None]

FILE = "dataset.json"
SPLITS = ("train", "val")
CHUNK_TOKENS = 1 << 22  # searched for separators at a time


def export_dataset(corpus: Corpus, out: Path, progress: Progress | None = None) -> dict[str, Any]:
    """Write ``corpus`` to the directory ``out``, completely or not at all; the content of ``dataset.json``.

    An ``out`` that holds the data set of the same corpus is left as it is. Memory holds one document and about 80
    bytes per document. Raises ``CorpusError`` if ``out`` holds anything else or cannot be written,
    ``MissingPackage`` without megatron-core.
    """
    library = _library()
    out = Path(os.path.realpath(out))
    if existing := _existing(out, corpus):
        return existing
    report = progress or (lambda _stage, _fraction: None)
    description: dict[str, Any] = {
        "format": 1,
        "corpus_sha256": corpus.sha256,
        "vocab": corpus.vocab,
        "separator": corpus.manifest.tokenizer.separator,
        "splits": {},
    }
    with build_directory(out, "the data set") as folder:
        for name in SPLITS:
            description["splits"][name] = _write(corpus, name, folder / name, library, report)
        atomic_write(folder / FILE, json.dumps(description, indent=2).encode() + b"\n")
        folder.chmod(0o755)  # mkdtemp makes it private
        os.rename(folder, out)  # refuses to replace anything but an empty directory
        fsync_dir(out.parent)
    return description


def documents(tokens: NDArray[Any], separator: int, chunk: int = CHUNK_TOKENS) -> Iterator[NDArray[Any]]:
    """The documents of a split in order, empty ones included: views of ``tokens`` without the separators."""
    begin = 0
    for first in range(0, len(tokens), chunk):
        for place in np.flatnonzero(tokens[first : first + chunk] == separator).tolist():
            end = first + place
            if end:  # tokens before the first separator, if any, are a document
                yield tokens[begin:end]
            begin = end + 1
    if len(tokens):
        yield tokens[begin:]


def _write(corpus: Corpus, name: str, prefix: Path, library: Any, report: Progress) -> dict[str, int]:
    separator = corpus.manifest.tokenizer.separator
    tokens = corpus.split(name)
    dtype = library.DType.optimal_dtype(corpus.vocab)
    report(f"write {name}", 0.0)
    builder = library.IndexedDatasetBuilder(library.get_bin_path(str(prefix)), dtype=dtype)
    written = count = percent = 0
    with closing(builder.data_file):
        for document in documents(tokens, separator):
            ended = np.append(document, separator).astype(dtype)
            builder.add_document(ended, [len(ended)])
            written, count = written + len(ended), count + 1
            if written * 100 // len(tokens) > percent:
                percent = written * 100 // len(tokens)
                report(f"write {name}", min(1.0, written / len(tokens)))
        builder.finalize(library.get_idx_path(str(prefix)))
    for path in (library.get_bin_path(str(prefix)), library.get_idx_path(str(prefix))):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    report(f"write {name}", 1.0)
    size = (prefix.parent / f"{name}.bin").stat().st_size
    return {"documents": count, "tokens": written, "bin_bytes": size}


def _library() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings that Apex and Transformer Engine are optional
            from megatron.core.datasets import indexed_dataset
    except ImportError as e:
        raise missing_extra("writing Megatron's data set", f"megatron-core ({e})", "megatron") from e
    return indexed_dataset


def _existing(out: Path, corpus: Corpus) -> dict[str, Any] | None:
    """The description of the complete data set of ``corpus`` in ``out``; ``None`` if ``out`` is free."""
    try:
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return None
        about: dict[str, Any] = json.loads((out / FILE).read_bytes())
        sizes = {name: (out / f"{name}.bin").stat().st_size for name in SPLITS}
        indexed = all((out / f"{name}.idx").is_file() for name in SPLITS)
        if indexed and about["corpus_sha256"] == corpus.sha256 and about["format"] == 1:
            if sizes == {name: about["splits"][name]["bin_bytes"] for name in SPLITS}:
                return about
            raise CorpusError(f"{out} is damaged: its files have {sizes} bytes", hint="remove it and export again")
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise CorpusError(f"{out} exists and holds something else", hint="choose another --out, or remove it yourself")
