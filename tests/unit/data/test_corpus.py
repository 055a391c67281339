"""A corpus is prepared once, whole or not at all, and the same text gives the same corpus to the last byte."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoresearch.data.corpus import SPLITS, Corpus, Manifest
from autoresearch.data.document import Document
from autoresearch.data.prepare import prepare
from autoresearch.data.sources import Sources
from autoresearch.data.text_spool import PIECE_BYTES
from autoresearch.data.tokenizer import TokenizerSpec
from autoresearch.errors import ConfigError, CorpusError
from tests.examples import examples

BYTE = TokenizerSpec("byte")
UNICODE = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


def documents(count: int = 300, seed: int = 0) -> list[Document]:
    """Different documents of a few lines each."""
    rng = random.Random(seed)
    words = ["the", "a", "of", "loss", "train", "model", "grad", "naïve", "東京", "batch", "=", "(", ")", ":\n"]
    return [Document(f"{i}.txt", f"{i} " + " ".join(rng.choices(words, k=60)) + "\n") for i in range(count)]


def make(out: Path, texts: Sequence[Document], tokenizer: TokenizerSpec = BYTE, **settings: object) -> Manifest:
    return prepare(texts, out, names=["docs"], tokenizer=tokenizer, **settings)  # type: ignore[arg-type]


def decoded(path: Path, name: str) -> list[str]:
    """The documents of a split, read from the file itself: the vault too."""
    manifest = Corpus.open(path).manifest
    ids = np.fromfile(path / f"{name}.bin", {"uint16": "<u2", "uint32": "<u4"}[manifest.dtype])
    starts = np.flatnonzero(ids == manifest.tokenizer.separator)
    assert not len(ids) or starts[0] == 0, "a separator stands before each document"
    tokenizer = Corpus.open(path).tokenizer
    return [tokenizer.decode(part).decode() for part in np.split(ids, starts[1:])]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prepared") / "corpus"
    make(path, documents())
    return path


class TestPrepared:
    def test_every_document_is_in_exactly_one_split_whole_and_in_order(self, prepared: Path) -> None:
        parts = {name: decoded(prepared, name) for name in SPLITS}
        position = {document.text: i for i, document in enumerate(documents())}
        assert sorted(text for part in parts.values() for text in part) == sorted(position)
        for part in parts.values():
            assert part == sorted(part, key=position.__getitem__)

    def test_the_fractions_are_about_right(self, prepared: Path) -> None:
        splits = Corpus.open(prepared).manifest.splits
        total = sum(split.bytes for split in splits.values())
        assert splits["train"].bytes / total == pytest.approx(0.90, abs=0.05)
        assert splits["val"].bytes / total == pytest.approx(0.05, abs=0.03)

    def test_the_manifest_counts_what_is_there(self, prepared: Path) -> None:
        manifest = Corpus.open(prepared, verify=True).manifest
        assert manifest.source.documents == 300
        assert manifest.source.bytes == sum(len(document.text.encode()) for document in documents())
        assert manifest.split_by == "document"
        for name in SPLITS:
            texts = decoded(prepared, name)
            assert manifest.splits[name].documents == len(texts)
            assert manifest.splits[name].bytes == sum(len(text.encode()) for text in texts)
            assert manifest.splits[name].tokens == manifest.splits[name].bytes + len(texts)

    def test_the_manifest_tells_neither_place_nor_time(self, prepared: Path) -> None:
        text = (prepared / "manifest.json").read_text()
        assert str(prepared.parent) not in text
        assert set(json.loads(text)) == {
            "format", "source", "tokenizer", "dtype", "split_by", "fractions", "splits", "token_bytes", "sha256",
            "preparation"
        }  # fmt: skip

    def test_train_and_val_are_mapped_read_only(self, prepared: Path) -> None:
        corpus = Corpus.open(prepared)
        val = corpus.split("val")
        assert isinstance(val, np.memmap)
        assert val.dtype == np.uint16
        assert int(corpus.token_bytes[val].sum()) == corpus.manifest.splits["val"].bytes
        with pytest.raises(ValueError, match="read-only"):
            val[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            corpus.token_bytes[0] = 2

    def test_the_vault_has_the_whole_test_split(self, prepared: Path) -> None:
        corpus = Corpus.open(prepared)
        assert int(corpus.token_bytes[corpus.vault()].sum()) == corpus.manifest.splits["test"].bytes

    @pytest.mark.parametrize("name", ["test", "valid", "../train"])
    def test_the_vault_and_what_does_not_exist_are_refused(self, prepared: Path, name: str) -> None:
        with pytest.raises(CorpusError, match="test is the vault"):
            Corpus.open(prepared).split(name)

    def test_others_may_read_it_and_nothing_is_left_beside_it(self, prepared: Path) -> None:
        assert prepared.stat().st_mode & 0o777 == 0o755
        assert sorted(file.name for file in prepared.iterdir()) == [
            "manifest.json", "test.bin", "tokenizer.json", "train.bin", "val.bin"
        ]  # fmt: skip
        assert list(prepared.parent.iterdir()) == [prepared]


class TestSameInputSameCorpus:
    @pytest.mark.parametrize("tokenizer", [BYTE, TokenizerSpec("bpe", vocab_size=300)], ids=["byte", "bpe"])
    def test_to_the_last_byte(self, tmp_path: Path, tokenizer: TokenizerSpec) -> None:
        make(tmp_path / "one", documents(), tokenizer)
        make(tmp_path / "two" / "deeper", documents(), tokenizer)
        for file in (tmp_path / "one").iterdir():
            assert file.read_bytes() == (tmp_path / "two" / "deeper" / file.name).read_bytes()

    def test_what_is_returned_is_what_is_written(self, tmp_path: Path) -> None:
        assert make(tmp_path / "c", documents()) == Corpus.open(tmp_path / "c").manifest

    def test_any_difference_changes_the_hash(self, tmp_path: Path) -> None:
        texts = documents()
        manifests = [
            make(tmp_path / "a", texts),
            make(tmp_path / "b", texts[:-1]),
            make(tmp_path / "c", texts[::-1]),
            make(tmp_path / "d", [Document("renamed", texts[0].text), *texts[1:]]),
            make(tmp_path / "e", texts, fractions=(0.8, 0.1, 0.1)),
            make(tmp_path / "f", texts, TokenizerSpec("bpe", vocab_size=300)),
        ]
        assert len({manifest.sha256 for manifest in manifests}) == len(manifests)

    def test_a_duplicate_follows_its_twin_into_the_split(self, tmp_path: Path) -> None:
        twice = documents() + [Document(f"copy-{document.name}", document.text) for document in documents()]
        make(tmp_path / "c", twice)
        parts = [set(decoded(tmp_path / "c", name)) for name in SPLITS]
        assert sum(len(part) for part in parts) == len(set.union(*parts)) == 300

    def test_a_document_stays_in_its_split_when_others_come(self, tmp_path: Path) -> None:
        make(tmp_path / "few", documents(300))
        make(tmp_path / "many", documents(400))
        assert set(decoded(tmp_path / "few", "val")) <= set(decoded(tmp_path / "many", "val"))


class TestBpe:
    def test_it_is_trained_on_the_train_split_alone(self, tmp_path: Path) -> None:
        spec = TokenizerSpec("bpe", vocab_size=300)
        make(tmp_path / "all", documents(600))
        train = set(decoded(tmp_path / "all", "train"))
        first, others = documents(600)[:300], documents(600)[300:]
        same_train = [d for d in first if d.text in train] + [d for d in others if d.text not in train]
        one, two = make(tmp_path / "one", first, spec), make(tmp_path / "two", same_train, spec)
        assert one.splits["val"].sha256 != two.splits["val"].sha256
        assert one.splits["train"].sha256 == two.splits["train"].sha256
        assert one.tokenizer.sha256 == two.tokenizer.sha256

    def test_the_directory_needs_nothing_else(self, tmp_path: Path) -> None:
        make(tmp_path / "c", documents(), TokenizerSpec("bpe", vocab_size=300))
        shutil.copytree(tmp_path / "c", tmp_path / "elsewhere")
        corpus = Corpus.open(tmp_path / "elsewhere", verify=True)
        assert (corpus.vocab, corpus.manifest.tokenizer.requested_vocab) == (300, 300)
        assert corpus.tokenizer.decode(corpus.split("train")).decode() == "".join(
            decoded(tmp_path / "elsewhere", "train")
        )
        assert tuple(corpus.token_bytes) == corpus.tokenizer.token_bytes

    def test_text_that_spells_a_separator_opens_no_document(self, tmp_path: Path) -> None:
        forged = [Document(d.name, f"<|endoftext|>{d.text}<|endoftext|>") for d in documents()]
        manifest = make(tmp_path / "c", forged, TokenizerSpec("bpe", vocab_size=400))
        ids = Corpus.open(tmp_path / "c").split("train")
        assert int((ids == manifest.tokenizer.separator).sum()) == manifest.splits["train"].documents


class TestSpans:
    """Where documents are too few or too unequal to deal out, the text is cut into three."""

    LINES = "".join(f"line {i} of one long document\n" for i in range(2000))

    def test_one_document_is_cut_where_lines_end(self, tmp_path: Path) -> None:
        manifest = make(tmp_path / "c", [Document("book.txt", self.LINES)])
        parts = ["".join(decoded(tmp_path / "c", name)) for name in SPLITS]
        assert manifest.split_by == "span"
        assert "".join(parts) == self.LINES
        assert all(part.endswith("\n") for part in parts)
        assert [len(part) / len(self.LINES) for part in parts] == pytest.approx([0.9, 0.05, 0.05], abs=0.01)

    def test_one_document_with_most_of_the_bytes_is_cut_too(self, tmp_path: Path) -> None:
        texts = [*documents(), Document("book.txt", self.LINES * 2)]
        assert make(tmp_path / "c", texts).split_by == "span"
        assert "".join(text for name in SPLITS for text in decoded(tmp_path / "c", name)) == "".join(
            document.text for document in texts
        )

    def test_text_without_lines_is_cut_between_characters(self, tmp_path: Path) -> None:
        make(tmp_path / "c", [Document("a", "\U0001f600" * 1000)])
        sizes = [len("".join(decoded(tmp_path / "c", name))) for name in SPLITS]
        assert sum(sizes) == 1000
        assert sizes[1:] == pytest.approx([50, 50], abs=2)

    @pytest.mark.parametrize("text", ["", "a", "one line\n"])
    def test_too_little_text_is_refused_with_its_size(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(CorpusError, match=rf"^{len(text)} bytes of text[\s\S]*try: give"):
            make(tmp_path / "c", [Document("a", text)] if text else [])
        assert not (tmp_path / "c").exists()

    @settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(texts=st.lists(UNICODE, min_size=1, max_size=40))
    def test_whatever_the_text_the_splits_cover_it_once(self, tmp_path: Path, texts: list[str]) -> None:
        shutil.rmtree(tmp_path / "c", ignore_errors=True)
        given_texts = [Document(str(i), text) for i, text in enumerate(texts)]
        try:
            manifest = make(tmp_path / "c", given_texts)
        except CorpusError:
            assert len("".join(set(texts)).encode()) < 200
            return
        texts = [text for text in dict.fromkeys(texts) if text.strip()]
        parts = [text for name in SPLITS for text in decoded(tmp_path / "c", name)]
        assert all(split.bytes for split in manifest.splits.values())
        if manifest.split_by == "span":
            assert "".join(parts) == "".join(texts)
        else:
            assert sorted(parts) == sorted(texts)


class TestLongDocuments:
    @pytest.mark.parametrize("tokenizer", [BYTE, TokenizerSpec("bpe", vocab_size=300)], ids=["byte", "bpe"])
    def test_a_document_longer_than_a_piece_is_still_one(self, tmp_path: Path, tokenizer: TokenizerSpec) -> None:
        texts = [f"{i} is the number of this document\n" * (PIECE_BYTES // 20) for i in range(3)]
        make(tmp_path / "c", [Document(str(i), text) for i, text in enumerate(texts)], tokenizer)
        train = decoded(tmp_path / "c", "train")
        assert train[:2] == texts[:2]
        assert len(train) == 3


class TestAnExistingDirectory:
    def test_the_same_corpus_is_left_as_it_is(self, tmp_path: Path) -> None:
        spec = TokenizerSpec("bpe", vocab_size=300)
        first = make(tmp_path / "c", documents(), spec)
        before = {file: file.stat().st_mtime_ns for file in [tmp_path / "c", *(tmp_path / "c").iterdir()]}
        stages: list[str] = []
        again = make(tmp_path / "c", documents(), spec, progress=lambda stage, _: stages.append(stage))
        assert again == first
        assert {file: file.stat().st_mtime_ns for file in [tmp_path / "c", *(tmp_path / "c").iterdir()]} == before
        assert set(stages) == {"read"}
        assert list(tmp_path.iterdir()) == [tmp_path / "c"]

    @pytest.mark.parametrize(
        ("count", "tokenizer", "fractions", "named"),
        [
            (299, BYTE, (0.9, 0.05, 0.05), "source"),
            (300, TokenizerSpec("bpe", vocab_size=300), (0.9, 0.05, 0.05), "tokenizer"),
            (300, BYTE, (0.8, 0.1, 0.1), "fractions"),
            (299, BYTE, (0.8, 0.1, 0.1), "source, another fractions"),
        ],
    )
    def test_another_corpus_is_refused_saying_what_differs(
        self, tmp_path: Path, count: int, tokenizer: TokenizerSpec, fractions: tuple[float, ...], named: str
    ) -> None:
        manifest = make(tmp_path / "c", documents())
        with pytest.raises(CorpusError, match=rf"holds another corpus, with another {named}\n"):
            make(tmp_path / "c", documents(count), tokenizer, fractions=fractions)
        assert Corpus.open(tmp_path / "c", verify=True).manifest == manifest

    def test_an_empty_directory_is_filled_also_through_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "disk" / "empty").mkdir(parents=True)
        (tmp_path / "link").symlink_to(tmp_path / "disk" / "empty")
        make(tmp_path / "link", documents())
        assert Corpus.open(tmp_path / "disk" / "empty", verify=True)
        assert (tmp_path / "link").is_symlink()

    def test_the_data_of_the_user_is_never_touched(self, tmp_path: Path) -> None:
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
        with pytest.raises(
            CorpusError, match=r"thesis is not empty and does not hold a complete corpus, so nothing is written"
        ):
            make(tmp_path / "thesis", documents())
        with pytest.raises(CorpusError, match=r"nothing is written"):
            make(tmp_path / "thesis" / "chapter1.txt", documents())
        assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "years of work"

    def test_a_damaged_corpus_is_not_taken_for_the_same(self, tmp_path: Path) -> None:
        make(tmp_path / "c", documents())
        flip_a_byte(tmp_path / "c" / "test.bin")
        with pytest.raises(CorpusError, match=r"nothing is written: .*test\.bin: sha256: expected"):
            make(tmp_path / "c", documents())

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(CorpusError, match=r"cannot write the corpus to .*file/sub/c: Not a directory"):
            make(tmp_path / "file" / "sub" / "c", documents())

    def test_one_that_appears_meanwhile_is_not_overwritten(self, tmp_path: Path) -> None:
        def other_process(stage: str, _: float) -> None:
            if stage == "encode test" and not (tmp_path / "c").exists():
                make(tmp_path / "c", documents(200))

        with pytest.raises(CorpusError, match=r"another process has written another corpus to .*/c\n"):
            make(tmp_path / "c", documents(), progress=other_process)
        assert Corpus.open(tmp_path / "c", verify=True).manifest.source.documents == 200
        assert list(tmp_path.iterdir()) == [tmp_path / "c"]

    def test_two_may_prepare_the_same_at_once(self, tmp_path: Path) -> None:
        def other_process(stage: str, _: float) -> None:
            if stage == "encode test" and not (tmp_path / "c").exists():
                make(tmp_path / "c", documents())

        manifest = make(tmp_path / "c", documents(), progress=other_process)
        assert Corpus.open(tmp_path / "c", verify=True).manifest == manifest
        assert list(tmp_path.iterdir()) == [tmp_path / "c"]


class TestInterrupted:
    @pytest.mark.parametrize("stage", ["read", "train tokenizer", "encode train", "encode test"])
    def test_half_a_corpus_is_no_corpus(self, tmp_path: Path, stage: str) -> None:
        def interrupt(now: str, _: float) -> None:
            if now == stage:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            make(tmp_path / "c", documents(), TokenizerSpec("bpe", vocab_size=300), progress=interrupt)
        assert list(tmp_path.iterdir()) == []

    def test_nor_when_a_source_fails_in_the_middle(self, tmp_path: Path) -> None:
        def failing() -> Iterator[Document]:
            yield from documents()
            raise CorpusError("line 301 is no document")

        with pytest.raises(CorpusError, match="line 301"):
            prepare(failing(), tmp_path / "c", names=["docs"], tokenizer=BYTE)
        assert list(tmp_path.iterdir()) == []

    def test_nor_when_the_process_is_killed(self, tmp_path: Path) -> None:
        path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
        done = subprocess.run([sys.executable, "-c", KILLED], cwd=tmp_path, env=os.environ | path, timeout=60)
        assert done.returncode == -signal.SIGKILL
        assert not (tmp_path / "c").exists()
        assert make(tmp_path / "c", documents())
        assert Corpus.open(tmp_path / "c", verify=True)


class TestDamaged:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        make(tmp_path / "c", documents())
        return tmp_path / "c"

    def test_a_directory_that_is_no_corpus(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match=r"is not a prepared corpus: manifest\.json: No such file[\s\S]*prepare"):
            Corpus.open(tmp_path)

    @pytest.mark.parametrize("name", ["train.bin", "val.bin", "test.bin", "tokenizer.json"])
    def test_a_file_that_is_gone(self, path: Path, name: str) -> None:
        (path / name).unlink()
        with pytest.raises(CorpusError, match=rf"{name}: \w+: expected \w+, got none: No such file"):
            Corpus.open(path)

    def test_a_file_that_is_too_short(self, path: Path) -> None:
        size = (path / "train.bin").stat().st_size
        os.truncate(path / "train.bin", size - 2)
        with pytest.raises(CorpusError, match=rf"train\.bin: bytes: expected {size}, got {size - 2}"):
            Corpus.open(path)

    def test_a_changed_byte_is_found_by_verifying(self, path: Path) -> None:
        flip_a_byte(path / "val.bin")
        Corpus.open(path)
        with pytest.raises(CorpusError, match=r"val\.bin: sha256: expected [0-9a-f]{64}, got [0-9a-f]{64}"):
            Corpus.open(path, verify=True)

    def test_verifying_reports_its_progress(self, path: Path) -> None:
        """A large corpus takes longer than a service manager waits without a notification."""
        reported: list[tuple[str, float]] = []
        Corpus.open(path, verify=True, progress=lambda *how: reported.append(how), chunk_bytes=4096)
        fractions = [fraction for _, fraction in reported]
        assert {stage for stage, _ in reported} == {"checking the corpus"}
        assert len(reported) > 3
        assert fractions == sorted(fractions)
        assert fractions[-1] == 1.0

    def test_another_tokenizer_is_always_found(self, path: Path) -> None:
        (path / "tokenizer.json").write_text('{"kind":"gpt2"}')
        with pytest.raises(CorpusError, match=r"tokenizer\.json: sha256: expected"):
            Corpus.open(path)

    def test_a_manifest_of_a_later_version(self, path: Path) -> None:
        edit(path, format=2)
        with pytest.raises(CorpusError, match=r"manifest\.json: format: expected 1, got 2[\s\S]*this version"):
            Corpus.open(path)

    def test_an_edited_manifest(self, path: Path) -> None:
        edit(path, split_by="span")
        with pytest.raises(CorpusError, match=r"manifest\.json: sha256: expected"):
            Corpus.open(path)

    @pytest.mark.parametrize(
        ("change", "where"),
        [
            ({"dtype": "float32"}, "dtype"),
            ({"extra": 1}, "extra"),
            ({"fractions": [0.9, 0.1]}, "fractions"),
            ({"splits": {}}, "splits"),
            ({"splits": {"../train": {}}}, "splits"),
            ({"token_bytes": ["1"]}, "token_bytes"),
        ],
    )
    def test_a_malformed_manifest_names_the_field(self, path: Path, change: dict[str, object], where: str) -> None:
        edit(path, **change)
        with pytest.raises(CorpusError, match=rf"manifest\.json is damaged: {where}"):
            Corpus.open(path)

    @pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b"{}", b"\xff\xfe", b"null"])
    def test_a_manifest_that_is_no_object(self, path: Path, content: bytes) -> None:
        (path / "manifest.json").write_bytes(content)
        with pytest.raises(CorpusError, match=r"manifest\.json is damaged"):
            Corpus.open(path)


class TestSettings:
    @pytest.mark.parametrize(
        "fractions", [(1.0, 0.0, 0.0), (0.9, 0.2, -0.1), (0.5, 0.2, 0.2), (float("nan"), 0.5, 0.5)]
    )
    def test_fractions_that_cannot_be(self, tmp_path: Path, fractions: tuple[float, float, float]) -> None:
        with pytest.raises(ConfigError, match="three positive numbers that sum to 1"):
            make(tmp_path / "c", documents(), fractions=fractions)

    def test_progress_goes_through_the_stages_and_ends_each(self, tmp_path: Path) -> None:
        reported: list[tuple[str, float]] = []
        make(
            tmp_path / "c",
            documents(),
            TokenizerSpec("bpe", vocab_size=300),
            progress=lambda stage, fraction: reported.append((stage, fraction)),
        )
        stages = list(dict.fromkeys(stage for stage, _ in reported))
        assert stages == [
            "read",
            "read validation",
            "train tokenizer",
            "encode train",
            "encode val",
            "encode test",
        ]
        for stage in stages:
            fractions = [fraction for name, fraction in reported if name == stage]
            assert fractions == sorted(fractions)
            assert (fractions[0], fractions[-1]) == (0.0, 1.0)

    @pytest.mark.slow
    def test_a_large_vocabulary_needs_wider_tokens(self, tmp_path: Path) -> None:
        rng = random.Random(0)
        letters = "abcdefghijklmnopqrstuvwxyz"
        texts = [Document(str(i), " ".join("".join(rng.choices(letters, k=9)) for _ in range(400))) for i in range(120)]
        manifest = make(tmp_path / "c", texts, TokenizerSpec("bpe", vocab_size=66_000))
        assert (manifest.tokenizer.vocab, manifest.dtype) == (66_000, "uint32")
        assert Corpus.open(tmp_path / "c").split("val").dtype == np.uint32
        assert sorted(t for name in SPLITS for t in decoded(tmp_path / "c", name)) == sorted(d.text for d in texts)


def test_the_standard_library_makes_a_corpus(tmp_path: Path) -> None:
    sources = Sources(stdlib=True)
    manifest = prepare(sources.documents(), tmp_path / "c", names=sources.names, tokenizer=BYTE)
    corpus = Corpus.open(tmp_path / "c", verify=True)
    assert manifest.source.bytes > 5_000_000
    assert min(split.bytes for split in manifest.splits.values()) > 100_000
    assert corpus.tokenizer.decode(corpus.split("val")).count(b"def ") > 100


KILLED = """
import os, signal
from pathlib import Path
from autoresearch.data.prepare import prepare
from autoresearch.data.document import Document
from autoresearch.data.tokenizer import TokenizerSpec

def kill(stage, fraction):
    if stage == "encode val":
        os.kill(os.getpid(), signal.SIGKILL)

texts = [Document(str(i), f"{i} is the number of this document\\n" * 20) for i in range(300)]
prepare(texts, Path("c"), names=["docs"], tokenizer=TokenizerSpec("byte"), progress=kill)
"""


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def edit(path: Path, **changes: object) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(manifest | changes))
