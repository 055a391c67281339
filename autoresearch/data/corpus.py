"""A prepared corpus: tokenized, split, hashed, in a self-contained directory.

    manifest.json                 a description, and the hash (of the texts, their names and the settings)
    tokenizer.json                the complete definition of the tokenizer
    train.bin  val.bin  test.bin  token ids, little-endian, the separator before each document

``prepare.py`` writes it, everything else reads it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from autoresearch.core.values import FrozenModel
from autoresearch.data.tokenizer import Kind, Tokenizer, from_json
from autoresearch.errors import CorpusError

Split = Literal["train", "val", "test"]
SplitBy = Literal["document", "span"]
Dtype = Literal["uint16", "uint32"]

OnChecked = Callable[[str, float], None]  # stage, fraction done

FORMAT: Literal[1] = 1
CHECKED_BYTES = 8 << 20  # read at a time, and between two reports of progress
SPLITS: tuple[Split, ...] = ("train", "val", "test")
PREPARE_AGAIN_HINT = "the corpus has changed or is incomplete: restore it, or prepare it again in another directory"


class SourceInfo(FrozenModel):
    """The sources that were read; ``sha256`` covers the name and the text of every document, in order."""

    names: tuple[str, ...]
    documents: int
    bytes: int
    documents_with_replacements: int
    sha256: str


class TokenizerInfo(FrozenModel):
    """The tokenizer; ``requested_vocab`` is the maximum that bpe was trained with.

    ``sample_bytes`` of train were all that bpe was trained on; ``None``: it was the whole of it.
    """

    kind: Kind
    requested_vocab: int | None
    vocab: int
    separator: int
    sha256: str
    sample_bytes: int | None = None


class SplitInfo(FrozenModel):
    """One token file: ``bytes`` of the UTF-8 text that it encodes, ``tokens`` including separators."""

    documents: int
    bytes: int
    tokens: int
    sha256: str


class OverlapInfo(FrozenModel):
    """How much of validation occurs in train, see ``overlap.py``: windows of ``window_bytes``, without white space.

    ``shared_documents``: those of validation of which at least half of the windows occur in train;
    ``contained_documents``: those of which all do.
    """

    window_bytes: int
    windows: int
    shared_windows: int
    documents: int
    shared_documents: int
    contained_documents: int = 0

    @property
    def share(self) -> float:
        """The share of the windows of validation that occur in train."""
        return self.shared_windows / max(1, self.windows)


class PreparationInfo(FrozenModel):
    """What was left out of the sources, and what was found in the text."""

    duplicate_documents: int  # equal to an earlier one, and dropped
    duplicate_bytes: int
    blank_documents: int
    bad_lines: int  # lines and rows without usable text
    other_files: dict[str, int]  # in folders, of kinds that are not read, by suffix
    undecodable_files: int
    undecodable: tuple[str, ...]  # the first of them
    replaced_characters: int  # U+FFFD in place of something that could not be decoded
    most_replaced: dict[str, int]  # the documents with the most of them
    overlap: OverlapInfo


class Manifest(FrozenModel):
    """``manifest.json``; ``sha256``, the hash of the corpus, covers the other fields as canonical JSON."""

    format: Literal[1]
    source: SourceInfo
    tokenizer: TokenizerInfo
    dtype: Dtype
    split_by: SplitBy
    fractions: tuple[float, float, float]
    splits: Annotated[dict[Split, SplitInfo], Field(min_length=len(SPLITS))]
    token_bytes: tuple[int, ...]
    preparation: PreparationInfo | None = None  # None, and not in the file, in a corpus of an earlier version
    sha256: str = ""

    def sealed(self) -> Manifest:
        """A copy with the hash computed."""
        return self.model_copy(update={"sha256": hashlib.sha256(self.to_json(exclude={"sha256"})).hexdigest()})

    def to_json(self, exclude: set[str] | None = None) -> bytes:
        """Canonical JSON: sorted keys, no spaces, ASCII. A field with its default is left out, as before it existed."""
        content = self.model_dump(mode="json", exclude=exclude, exclude_defaults=True)
        return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True)
class Corpus:
    """A prepared corpus, opened for reading."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        verify: bool = False,
        progress: OnChecked = lambda *_: None,
        chunk_bytes: int = CHECKED_BYTES,
    ) -> Corpus:
        """Open a corpus after checking that it is complete; with ``verify``, read and hash every byte of it.

        ``progress`` is called with the fraction read, every ``chunk_bytes``.
        Raises ``CorpusError`` naming the file, what was expected and what was found.
        """
        manifest = _read_manifest(path / "manifest.json")
        _check(path / "tokenizer.json", "sha256", manifest.tokenizer.sha256, _file_sha256)
        width = np.dtype(manifest.dtype).itemsize
        total, read = max(1, width * sum(split.tokens for split in manifest.splits.values())), 0

        def on_read(size: int) -> None:
            nonlocal read
            read += size
            progress("checking the corpus", min(1.0, read / total))

        for name, split in manifest.splits.items():
            file = path / f"{name}.bin"
            _check(file, "bytes", split.tokens * width, _file_bytes)
            if verify:
                _check(file, "sha256", split.sha256, partial(_file_sha256, on_read=on_read, chunk_bytes=chunk_bytes))
        return cls(path, manifest)

    @property
    def sha256(self) -> str:
        """The hash of the corpus, tokenizer included."""
        return self.manifest.sha256

    @property
    def vocab(self) -> int:
        """Count of token ids."""
        return self.manifest.tokenizer.vocab

    @property
    def val_overlap(self) -> float | None:
        """The share of validation that occurs verbatim in train; ``None`` where it was not measured."""
        found = self.manifest.preparation
        return found.overlap.share if found and found.overlap.windows else None

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of this corpus. Raises ``MissingPackage`` for bpe and gpt2 without ``tokenizers``."""
        return from_json((self.path / "tokenizer.json").read_text("ascii"))

    @cached_property
    def token_bytes(self) -> NDArray[np.int64]:
        """Bytes of text that each id encodes, ``(vocab,)``; 0 for the separator."""
        counts = np.array(self.manifest.token_bytes, np.int64)
        counts.setflags(write=False)
        return counts

    def split(self, name: str) -> NDArray[Any]:
        """The ids of ``train`` or ``val``, ``(tokens,)``, mapped from the file, read only.

        ``test`` is the vault: the loop must not read it, or decisions would depend on it. Raises ``CorpusError``.
        """
        if name not in ("train", "val"):
            raise CorpusError(f"the split {name!r} cannot be read here", hint="read train or val; test is the vault")
        return np.memmap(self.path / f"{name}.bin", little_endian(self.manifest.dtype), mode="r")


def _read_manifest(path: Path) -> Manifest:
    try:
        data = path.read_bytes()
    except OSError as e:
        hint = "make one with `autoresearch prepare SOURCE... --out DIR`"
        raise CorpusError(f"{path.parent} is not a prepared corpus: {path.name}: {e.strerror}", hint=hint) from e
    try:
        version = json.loads(data)["format"]
        if version != FORMAT:
            hint = "prepare the corpus again with this version"
            raise CorpusError(f"{path}: format: expected {FORMAT}, got {version!r}", hint=hint)
        manifest = Manifest.model_validate_json(data)
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CorpusError(f"{path} is damaged: {where}: {first['msg']}", hint=PREPARE_AGAIN_HINT) from e
    except (ValueError, TypeError, KeyError) as e:
        raise CorpusError(f"{path} is damaged: {e!r}", hint=PREPARE_AGAIN_HINT) from e
    if manifest != manifest.sealed():
        raise CorpusError(
            f"{path}: sha256: expected {manifest.sealed().sha256}, got {manifest.sha256}", hint=PREPARE_AGAIN_HINT
        )
    return manifest


def _check(path: Path, field: str, expected: object, measure: Callable[[Path], object]) -> None:
    try:
        got = measure(path)
    except OSError as e:
        raise CorpusError(
            f"{path}: {field}: expected {expected}, got none: {e.strerror}", hint=PREPARE_AGAIN_HINT
        ) from e
    if got != expected:
        raise CorpusError(f"{path}: {field}: expected {expected}, got {got}", hint=PREPARE_AGAIN_HINT)


def _file_bytes(path: Path) -> int:
    return path.stat().st_size


def _file_sha256(
    path: Path, on_read: Callable[[int], None] = lambda _bytes: None, chunk_bytes: int = CHECKED_BYTES
) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(chunk_bytes):
            digest.update(chunk)
            on_read(len(chunk))
    return digest.hexdigest()


def little_endian(dtype: Dtype) -> np.dtype[Any]:
    return np.dtype(dtype).newbyteorder("<")
