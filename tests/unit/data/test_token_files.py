"""Token files do not depend on cores, pieces and batches, and a document in pieces has the tokens of the whole."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from autoresearch.data import prepare as preparation
from autoresearch.data import text_spool, token_files
from autoresearch.data.corpus import Corpus, Manifest
from autoresearch.data.document import Document
from autoresearch.data.prepare import prepare
from autoresearch.data.tokenizer import BpeTokenizer, TokenizerSpec, train_bpe

pytest.importorskip("tokenizers", reason="the bpe tokenizer needs the package tokenizers")

WORDS = [
    "the",
    "naïve",
    "東京、大阪。",
    "loss",
    "\n    return x",
    "don't",
    "  ",
    "\t1.5",
    "\u00a0",
    "\r\n\r\n",
    "\U0001f600",
]


def text(size: int, seed: int, between: str = " ") -> str:
    return between.join(random.Random(seed).choices(WORDS, k=size))


def make(out: Path, documents: list[Document], kind: str = "bpe") -> Manifest:
    spec = TokenizerSpec("bpe", vocab_size=400) if kind == "bpe" else TokenizerSpec("byte")
    return prepare(documents, out, names=["docs"], tokenizer=spec)


@pytest.mark.parametrize("kind", ["byte", "bpe"])
def test_cores_and_sizes_of_batches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    documents = [Document(str(i), f"{i} {text(300, i)}") for i in range(60)] + [Document("long", text(90_000, 99))]
    one = make(tmp_path / "one", documents, kind)
    monkeypatch.setattr(preparation, "SMALLEST_SHARED_BYTES", 0)
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    for threads, batch_bytes, batch_pieces in (("2", 1 << 16, 4096), ("3", 1 << 30, 7)):
        monkeypatch.setenv("RAYON_NUM_THREADS", threads)
        monkeypatch.setattr(token_files, "BATCH_BYTES", batch_bytes)
        monkeypatch.setattr(token_files, "BATCH_PIECES", batch_pieces)
        assert make(tmp_path / threads, documents, kind) == one
        for file in (tmp_path / "one").iterdir():
            assert file.read_bytes() == (tmp_path / threads / file.name).read_bytes()


@pytest.mark.parametrize("piece_bytes", [700, 5000, 1 << 18])
@pytest.mark.parametrize("between", ["", " ", "\n    "])
def test_a_document_in_pieces_has_the_tokens_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece_bytes: int, between: str
) -> None:
    monkeypatch.setattr(text_spool, "PIECE_BYTES", piece_bytes)
    whole = text(20_000, 1, between)
    make(tmp_path / "c", [Document("book", whole)])
    corpus = Corpus.open(tmp_path / "c")
    tokenizer = corpus.tokenizer
    assert isinstance(tokenizer, BpeTokenizer)
    ids = corpus.split("train")[1:]
    train = whole.encode()[: corpus.manifest.splits["train"].bytes].decode()
    library = tokenizer._encoder._encoder
    assert np.array_equal(ids, library.encode(train, add_special_tokens=False).ids)


def test_a_sample_that_is_not_all_of_train_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [Document(str(i), f"{i} {text(300, i)}") for i in range(60)]
    whole = make(tmp_path / "whole", documents)
    assert whole.tokenizer.sample_bytes is None
    assert b"sample_bytes" not in (tmp_path / "whole" / "manifest.json").read_bytes()
    monkeypatch.setattr("autoresearch.data.training_sample.SAMPLE_BYTES", 20_000)
    sampled = make(tmp_path / "sampled", documents)
    assert 20_000 <= (sampled.tokenizer.sample_bytes or 0) < 30_000
    assert Corpus.open(tmp_path / "sampled").manifest == sampled
    assert sampled.source == whole.source
    assert sampled.tokenizer.sha256 != train_bpe([], 257).sha256
