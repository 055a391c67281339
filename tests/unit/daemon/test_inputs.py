"""The content of an input is watched, not its times: a copy of the same bytes changes nothing, one other byte does."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

import pytest

from autoresearch.daemon.inputs import Inputs
from autoresearch.data.corpus import Corpus


@pytest.fixture
def corpus(small_corpus: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_corpus, tmp_path / "corpus"))


def overwrite(path: Path) -> None:
    """One byte in place: same inode, same size."""
    with path.open("r+b") as file:
        byte = file.read(1)
        file.seek(0)
        file.write(bytes([byte[0] ^ 1]))


def overwrite_with_old_times(path: Path) -> None:
    before = path.stat()
    overwrite(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def replace(path: Path) -> None:
    path.with_name("new").write_bytes(path.read_bytes()[::-1])
    path.with_name("new").rename(path)


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", ["manifest.json", "tokenizer.json", "train.bin", "val.bin"])
@pytest.mark.parametrize(
    "change", [overwrite, overwrite_with_old_times, cut, replace, make_directory, Path.unlink], ids=lambda c: c.__name__
)
def test_another_content_is_reported_with_the_file(change, name: str, corpus: Path) -> None:
    inputs = Inputs()
    inputs.watch_corpus(corpus, partial(Corpus.open, corpus, verify=True))
    assert inputs.change() == ""
    change(corpus / name)
    assert str(corpus / name) in inputs.change()
    assert str(corpus / name) in inputs.change(), "again at the next check"


def test_the_same_content_under_another_identity_is_accepted(corpus: Path) -> None:
    beats: list[int] = []
    inputs = Inputs(lambda: beats.append(1))
    inputs.watch_corpus(corpus, partial(Corpus.open, corpus, verify=True))
    beats.clear()
    shutil.copy(corpus / "val.bin", corpus / "copy")
    (corpus / "copy").rename(corpus / "val.bin")
    (corpus / "train.bin").touch()
    assert inputs.change() == ""
    hashed = len(beats)
    assert hashed >= 2, "the daemon shows that it is alive while it hashes"
    assert inputs.change() == ""
    assert len(beats) == hashed, "the new identity is known"
    overwrite(corpus / "val.bin")
    assert "val.bin" in inputs.change()


def test_a_change_while_the_corpus_is_verified_is_found(corpus: Path) -> None:
    def verify_and_change() -> Corpus:
        opened = Corpus.open(corpus, verify=True)
        overwrite(corpus / "val.bin")
        return opened

    inputs = Inputs()
    inputs.watch_corpus(corpus, verify_and_change)
    assert "val.bin" in inputs.change()


def test_the_test_split_is_watched_because_trials_score_it_for_the_vault(corpus: Path) -> None:
    inputs = Inputs()
    inputs.watch_corpus(corpus, partial(Corpus.open, corpus, verify=True))
    overwrite(corpus / "test.bin")
    assert "test.bin" in inputs.change()


def test_a_link_to_another_file_is_another_content(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    (tmp_path / "link").symlink_to("one")
    inputs = Inputs()
    inputs.watch(tmp_path / "link")
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("two")
    assert str(tmp_path / "link") in inputs.change()


def test_a_pipe_is_read_once_and_not_watched(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    inputs = Inputs()
    inputs.watch(tmp_path / "pipe")
    (tmp_path / "pipe").unlink()
    assert inputs.change() == ""
