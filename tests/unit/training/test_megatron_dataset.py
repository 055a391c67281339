"""A corpus as Megatron's indexed data set, read back with Megatron's own reader."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.data.corpus import Corpus
from autoresearch.errors import CorpusError, MissingPackage
from autoresearch.training import megatron_dataset
from autoresearch.training.megatron_dataset import FILE, documents, export_dataset


@pytest.fixture(scope="module")
def corpus(small_corpus: Path) -> Corpus:
    return Corpus.open(small_corpus)


def megatrons(prefix: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from megatron.core.datasets.indexed_dataset import IndexedDataset
    return IndexedDataset(str(prefix), mmap=True)


@pytest.mark.parametrize("split", ["train", "val"])
def test_megatron_reads_the_corpus_document_by_document(split, corpus, tmp_path):
    about = export_dataset(corpus, tmp_path / "set")
    separator, tokens = corpus.manifest.tokenizer.separator, corpus.split(split)
    theirs = megatrons(tmp_path / "set" / split)
    read = [np.array(theirs[i]) for i in range(len(theirs))]
    assert len(read) == corpus.manifest.splits[split].documents == about["splits"][split]["documents"]
    for document in read:
        assert document[-1] == separator
        assert separator not in document[:-1]
    assert tokens[0] == separator
    assert np.array_equal(np.concatenate(read), np.roll(tokens, -1)), "the same stream, begun one token later"
    assert about["splits"][split]["tokens"] == len(tokens)
    assert theirs.document_indices.tolist() == list(range(len(read) + 1))
    assert read[0].dtype == np.uint16
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == sorted(
        [FILE, "train.bin", "train.idx", "val.bin", "val.idx"]
    )


@given(st.lists(st.integers(0, 3), max_size=60), st.integers(1, 9))
def test_no_token_is_lost_wherever_the_separators_are(values, chunk):
    tokens = np.array(values, np.uint16)
    found = [d.tolist() for d in documents(tokens, 0, chunk)]
    assert all(0 not in d for d in found)
    joined = [v for d in found for v in [*d, 0]]
    begins_with_separator = values[:1] == [0]
    assert joined == (values[1:] if begins_with_separator else values) + ([0] if values else [])


def test_a_set_of_the_same_corpus_is_kept(corpus, tmp_path):
    out = tmp_path / "set"
    first = export_dataset(corpus, out)
    stamp = (out / "train.bin").stat().st_mtime_ns
    assert export_dataset(corpus, out) == first == json.loads((out / FILE).read_bytes())
    assert (out / "train.bin").stat().st_mtime_ns == stamp


def test_anything_else_is_left_alone(corpus, tmp_path):
    out = tmp_path / "set"
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(CorpusError, match="holds something else"):
        export_dataset(corpus, out)
    assert (out / "thesis.txt").read_text() == "years of work"
    with pytest.raises(CorpusError, match="holds something else"):
        export_dataset(corpus, out / "thesis.txt")


def test_a_damaged_or_another_set_is_not_taken_for_it(corpus, tmp_path):
    out = tmp_path / "set"
    export_dataset(corpus, out)
    about = json.loads((out / FILE).read_bytes())
    (out / FILE).write_text(json.dumps({**about, "corpus_sha256": "0" * 64}))
    with pytest.raises(CorpusError, match="holds something else"):
        export_dataset(corpus, out)
    (out / FILE).write_text(json.dumps(about))
    (out / "val.bin").write_bytes(b"")
    with pytest.raises(CorpusError, match="is damaged"):
        export_dataset(corpus, out)
    (out / "val.idx").unlink()
    with pytest.raises(CorpusError, match="holds something else"):
        export_dataset(corpus, out)


def test_an_empty_directory_is_filled(corpus, tmp_path):
    (tmp_path / "set").mkdir()
    export_dataset(corpus, tmp_path / "set")
    assert (tmp_path / "set" / FILE).exists()


def test_one_that_fails_leaves_nothing(corpus, tmp_path):
    class Gone(Exception):
        pass

    def tell(stage: str, fraction: float) -> None:
        if stage == "write val" and fraction > 0.5:
            raise Gone

    with pytest.raises(Gone):
        export_dataset(corpus, tmp_path / "set", tell)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_one_that_is_killed_leaves_nothing_that_looks_whole(corpus, tmp_path):
    out = tmp_path / "set"
    program = f"""
import os, signal
from pathlib import Path
from autoresearch.data.corpus import Corpus
from autoresearch.training.megatron_dataset import export_dataset

def tell(stage, fraction):
    if stage == "write val" and fraction > 0:
        os.kill(os.getpid(), signal.SIGKILL)

export_dataset(Corpus.open(Path({str(corpus.path)!r})), Path({str(out)!r}), tell)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    export_dataset(corpus, out)
    assert len(megatrons(out / "val")) == corpus.manifest.splits["val"].documents


def test_a_place_that_cannot_be_written_is_named(corpus, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CorpusError, match="cannot write the data set"):
        export_dataset(corpus, tmp_path / "file" / "set")


def test_progress_is_reported_for_both_splits(corpus, tmp_path):
    reported: list[tuple[str, float]] = []
    export_dataset(corpus, tmp_path / "set", lambda stage, fraction: reported.append((stage, fraction)))
    for stage in ("write train", "write val"):
        fractions = [f for s, f in reported if s == stage]
        assert fractions[0] == 0
        assert fractions[-1] == 1
        assert fractions == sorted(fractions)


def test_without_megatron_the_extra_is_named(corpus, tmp_path, monkeypatch):
    for name in [n for n in sys.modules if n.partition(".")[0] == "megatron"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "megatron", None)
    with pytest.raises(MissingPackage, match=r"autoresearch\[megatron\]"):
        export_dataset(corpus, tmp_path / "set")
    assert megatron_dataset.SPLITS == ("train", "val"), "the test split stays in its vault"
