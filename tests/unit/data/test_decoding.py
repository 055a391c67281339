"""Encodings with a mark are decoded; what does not decode is counted; what is not text is refused or left out."""

from __future__ import annotations

import builtins
import gzip
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from autoresearch.data import decoding
from autoresearch.data.document import Document, LeftOut
from autoresearch.data.sources import Sources
from autoresearch.errors import CorpusError, MissingPackage

TEXT = "naïve 東京 \U0001f600, one\ntwo\r\nthree\n"
LINES = '{"text": "naïve 東京"}\n{"text": "\U0001f600 two"}\n'
MARKED = ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


def encoded(text: str, encoding: str) -> bytes:
    return text.encode(encoding) if encoding in ("utf-8-sig", "utf-16", "utf-32") else f"\ufeff{text}".encode(encoding)


def read(*paths: Path, left_out: LeftOut | None = None) -> list[Document]:
    return list(Sources(paths=paths).documents(left_out))


class TestByteOrderMarks:
    @pytest.mark.parametrize("encoding", MARKED)
    def test_text(self, tmp_path: Path, encoding: str) -> None:
        (tmp_path / "a.txt").write_bytes(encoded(TEXT, encoding))
        assert read(tmp_path / "a.txt") == [Document("a.txt", TEXT)]

    @pytest.mark.parametrize("encoding", MARKED)
    def test_json_lines(self, tmp_path: Path, encoding: str) -> None:
        (tmp_path / "a.jsonl").write_bytes(encoded(LINES, encoding))
        assert [document.text for document in read(tmp_path / "a.jsonl")] == ["naïve 東京", "\U0001f600 two"]

    @pytest.mark.parametrize("encoding", MARKED)
    def test_long_text_comes_in_parts_of_whole_characters(
        self, tmp_path: Path, encoding: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(decoding, "PART_BYTES", 9)
        (tmp_path / "a.txt").write_bytes(encoded(TEXT * 3, encoding))
        parts = read(tmp_path / "a.txt")
        assert "".join(part.text for part in parts) == TEXT * 3
        assert [part.continues for part in parts] == [False, *[True] * (len(parts) - 1)]
        assert sum(part.replaced for part in parts) == 0

    def test_a_cut_off_last_character_is_replaced_and_counted(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes(encoded("twelve letters", "utf-16")[:-1])
        assert read(tmp_path / "a.txt") == [Document("a.txt", "twelve letter\ufffd", replaced=1)]


class TestNotText:
    @pytest.mark.parametrize(
        "data",
        [
            bytes(range(256)) * 10,
            b"\x7fELF" + bytes(500) + b"some symbol",
            "Latin letters without a mark".encode("utf-16-le"),
            "Latin letters without a mark".encode("utf-32-be"),
            "Москва слезам не верит".encode("koi8-r"),
            gzip.compress(b"text " * 1000, mtime=0),
        ],
        ids=["bytes", "elf", "utf-16", "utf-32", "koi8-r", "gzip"],
    )
    @pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
    def test_it_is_refused_by_name_and_left_out_of_a_folder(self, tmp_path: Path, data: bytes, name: str) -> None:
        folder = tmp_path / "docs"
        folder.mkdir()
        (folder / name).write_bytes(data)
        (folder / "b.md").write_text("kept")
        with pytest.raises(CorpusError, match=rf"{name} is not text in UTF-8: \d+% of its characters[\s\S]*iconv"):
            read(folder / name)
        left_out = LeftOut()
        assert [document.text for document in read(folder, left_out=left_out)] == ["kept"]
        assert (left_out.undecodable_files, left_out.undecodable) == (1, [f"docs/{name}"])

    def test_a_few_letters_of_latin_1_are_counted_per_document(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_bytes("Il a été là, voilà; déjà vu. And more text after that.".encode("latin-1"))
        (document,) = read(tmp_path / "a.txt")
        assert document.replaced == document.text.count("\ufffd") == 6


class TestCompressed:
    def test_it_is_read_like_the_file_in_it(self, tmp_path: Path) -> None:
        (tmp_path / "a.txt.gz").write_bytes(gzip.compress(encoded(TEXT, "utf-16"), mtime=0))
        (tmp_path / "B.JSONL.GZ").write_bytes(gzip.compress(LINES.encode(), mtime=0))
        found = read(tmp_path)
        assert [document.text for document in found] == ["naïve 東京", "\U0001f600 two", TEXT]
        assert read(tmp_path / "a.txt.gz")[0].name == "a.txt.gz"

    @pytest.mark.parametrize("data", [b"not gzip", gzip.compress(TEXT.encode() * 100, mtime=0)[:-20], b"\x1f\x8b"])
    def test_a_damaged_file_is_named(self, tmp_path: Path, data: bytes) -> None:
        (tmp_path / "a.txt.gz").write_bytes(data)
        with pytest.raises(CorpusError, match=r"cannot uncompress .*a\.txt\.gz"):
            read(tmp_path / "a.txt.gz")

    def test_what_is_not_read_is_counted_by_kind(self, tmp_path: Path) -> None:
        for name in ("a.tar.gz", "b.gz", "c.csv", "d.json", "e.JSON", "README", "f.parquet.gz", ".hidden.csv"):
            (tmp_path / name).write_bytes(b"")
        (tmp_path / "kept.txt").write_text("kept")
        left_out = LeftOut()
        read(tmp_path, left_out=left_out)
        assert left_out.files == {".gz": 3, ".csv": 1, ".json": 2, "no suffix": 1}

    def test_zst_without_its_package_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "zstandard", None)
        (tmp_path / "a.txt.zst").write_bytes(b"")
        with pytest.raises(MissingPackage, match=r"zstandard[\s\S]*pip install 'autoresearch\[zst\]'"):
            read(tmp_path / "a.txt.zst")

    def test_zst_is_opened_by_its_package(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        fake = SimpleNamespace(ZstdError=ValueError, open=lambda path: builtins.open(path, "rb"))  # noqa: SIM115
        monkeypatch.setitem(sys.modules, "zstandard", fake)
        (tmp_path / "a.txt.zst").write_bytes(b"text")
        assert read(tmp_path / "a.txt.zst") == [Document("a.txt.zst", "text")]

    def test_zst_for_real(self, tmp_path: Path) -> None:
        library = pytest.importorskip("zstandard", reason="needs the package zstandard")
        (tmp_path / "a.jsonl.zst").write_bytes(library.compress(LINES.encode()))
        assert len(read(tmp_path / "a.jsonl.zst")) == 2
        (tmp_path / "a.jsonl.zst").write_bytes(b"not zst")
        with pytest.raises(CorpusError, match=r"cannot uncompress"):
            read(tmp_path / "a.jsonl.zst")
