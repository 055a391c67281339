"""Sources become documents: in a fixed order, whatever lies in the folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autoresearch.data.document import Document
from autoresearch.data.sources import Sources
from autoresearch.errors import CorpusError, MissingPackage


def read(*paths: Path) -> list[Document]:
    """The documents that are not blank."""
    return [document for document in Sources(paths=paths).documents() if document.text]


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


class TestFilesAndFolders:
    def test_a_file_is_one_document_as_it_is(self, tmp_path: Path) -> None:
        text = "one\r\ntwo\rthree\n\ttabs, naïve 東京\n\n"
        assert read(put(tmp_path / "notes.txt", text)) == [Document("notes.txt", text)]

    def test_a_folder_is_read_in_order_of_its_paths(self, tmp_path: Path) -> None:
        for name in ("b.txt", "a/z.md", "a/b/c.py", "B.TXT", "a.txt"):
            put(tmp_path / "docs" / name, name)
        names = [document.name for document in read(tmp_path / "docs")]
        assert names == ["docs/B.TXT", "docs/a/b/c.py", "docs/a/z.md", "docs/a.txt", "docs/b.txt"]

    def test_sources_keep_the_order_they_are_given_in(self, tmp_path: Path) -> None:
        second, first = put(tmp_path / "a.txt", "second"), put(tmp_path / "b.txt", "first")
        assert [document.text for document in read(first, second)] == ["first", "second"]

    def test_hidden_unsupported_and_empty_files_are_left_out(self, tmp_path: Path) -> None:
        for name in (".hidden.txt", ".git/config.txt", "sub/.cache/x.md", "image.png", "noextension", "manifest.json"):
            put(tmp_path / name, "no")
        put(tmp_path / "empty.txt", "")
        put(tmp_path / "only-bom.txt", b"\xef\xbb\xbf")
        put(tmp_path / "kept.txt", "yes")
        assert [document.text for document in read(tmp_path)] == ["yes"]

    def test_names_do_not_tell_where_the_folder_lies(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(tmp_path / "here" / "docs" / "a.txt", "same")
        put(tmp_path / "there" / "docs" / "a.txt", "same")
        assert read(tmp_path / "here" / "docs") == read(tmp_path / "there" / "docs")
        monkeypatch.chdir(tmp_path / "here" / "docs")
        assert read(Path()) == read(tmp_path / "there" / "docs") == read(Path("../docs"))
        assert Sources(paths=(Path(), Path("a.txt"), Path(".."))).names == ("docs", "a.txt", "here")

    def test_links_are_followed_and_a_loop_ends(self, tmp_path: Path) -> None:
        folder = tmp_path / "docs"
        put(folder / "sub" / "a.txt", "a")
        put(tmp_path / "elsewhere" / "b.txt", "b")
        (folder / "sub" / "loop").symlink_to(folder)
        (folder / "self.md").symlink_to(folder / "sub")
        (folder / "away").symlink_to(tmp_path / "elsewhere")
        assert [document.name for document in read(folder)] == ["docs/away/b.txt", "docs/self.md/a.txt"]

    def test_a_name_that_is_no_unicode_still_has_a_hash(self, tmp_path: Path) -> None:
        put(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.txt")), "text")
        assert [document.name for document in read(tmp_path)] == [f"{tmp_path.name}/\ufffd.txt"]


class TestWhatCannotBeRead:
    def test_no_source_at_all(self) -> None:
        with pytest.raises(CorpusError, match=r"no source of text is given[\s\S]*--stdlib"):
            Sources()

    def test_a_path_that_does_not_exist(self, tmp_path: Path) -> None:
        with pytest.raises(CorpusError, match=r"gone\.txt does not exist"):
            read(tmp_path / "gone.txt")

    def test_an_unsupported_file_given_by_name(self, tmp_path: Path) -> None:
        with pytest.raises(
            CorpusError, match=r"a\.pdf is not a supported kind of file[\s\S]*\.txt \.md \.py \.jsonl \.parquet"
        ):
            read(put(tmp_path / "a.pdf", b"%PDF"))

    def test_a_folder_without_text(self, tmp_path: Path) -> None:
        put(tmp_path / "image.png", b"")
        with pytest.raises(CorpusError, match=r"no text in .*: \.png 1\n.*supported are \.txt"):
            read(tmp_path)

    def test_a_broken_link(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").symlink_to(tmp_path / "gone.txt")
        with pytest.raises(CorpusError, match=r"a\.txt is not a regular file"):
            read(tmp_path)

    def test_a_pipe_does_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "a.txt")
        with pytest.raises(CorpusError, match=r"a\.txt is not a regular file"):
            read(tmp_path)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_a_file_without_permission(self, tmp_path: Path) -> None:
        put(tmp_path / "a.txt", "secret").chmod(0)
        with pytest.raises(CorpusError, match=r"cannot read .*a\.txt: Permission denied"):
            read(tmp_path)

    @pytest.mark.skipif(
        not Path("/proc/self/mem").exists(), reason="needs Linux: a file whose first byte fails to read"
    )
    def test_a_disk_that_fails(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").symlink_to("/proc/self/mem")
        with pytest.raises(CorpusError, match=r"cannot read .*a\.txt: Input/output error"):
            read(tmp_path)


class TestStandardLibrary:
    def test_it_is_real_text_without_tests_and_packages(self) -> None:
        names = [document.name for document in Sources(stdlib=True).documents()]
        assert {"stdlib/json/decoder.py", "stdlib/dataclasses.py"} <= set(names)
        parts = {part for name in names for part in name.split("/")}
        assert not parts & {"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"}
        assert all(name.startswith("stdlib/") and name.endswith(".py") for name in names)
        assert len(names) > 400

    def test_nothing_in_it_names_this_installation(self) -> None:
        here = os.path.realpath(sys.prefix)
        if here == "/usr":
            pytest.skip("/usr is named in text that has nothing to do with the installation")
        assert not [document.name for document in Sources(stdlib=True).documents() if here in document.text]

    def test_its_name_tells_the_release(self) -> None:
        (name,) = Sources(stdlib=True).names
        assert name.startswith("python-3.")
        assert name.endswith("-stdlib")


class FakeDatasets(SimpleNamespace):
    """The one function of the ``datasets`` package that we call, over rows in memory."""

    def __init__(self, rows: Sequence[dict[str, Any]] | Exception) -> None:
        self.rows = rows

    def load_dataset(self, path: str, name: str | None, *, split: str) -> Sequence[dict[str, Any]]:
        self.asked = (path, name, split)
        if isinstance(self.rows, Exception):
            raise self.rows
        return self.rows


class TestHub:
    @pytest.mark.parametrize(
        ("spec", "asked"),
        [
            ("wikitext:wikitext-2-raw-v1", ("wikitext", "wikitext-2-raw-v1", "train")),
            ("karpathy/tiny_shakespeare", ("karpathy/tiny_shakespeare", None, "train")),
        ],
    )
    def test_the_train_split_is_read(
        self, monkeypatch: pytest.MonkeyPatch, spec: str, asked: tuple[str, str | None, str]
    ) -> None:
        fake = FakeDatasets([{"text": "a"}, {"text": ""}, {"text": "b"}])
        monkeypatch.setitem(sys.modules, "datasets", fake)
        sources = Sources(hf=spec)
        assert list(sources.documents()) == [Document(f"{spec}:{i}", text) for i, text in ((1, "a"), (2, ""), (3, "b"))]
        assert fake.asked == asked
        assert sources.names == (spec,)

    def test_a_data_set_without_text(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "datasets", FakeDatasets([{"label": 1}]))
        with pytest.raises(CorpusError, match="data set mnist, row 1: no field `text`, only label"):
            list(Sources(hf="mnist").documents())

    def test_a_hub_that_is_not_reached(self, monkeypatch: pytest.MonkeyPatch) -> None:
        fake = FakeDatasets(ConnectionError("no route to host"))
        monkeypatch.setitem(sys.modules, "datasets", fake)
        with pytest.raises(CorpusError, match=r"cannot load the data set x: no route to host"):
            list(Sources(hf="x").documents())

    def test_a_missing_package_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "datasets", None)
        with pytest.raises(MissingPackage, match=r"pip install 'autoresearch\[hf\]'"):
            list(Sources(hf="x").documents())
