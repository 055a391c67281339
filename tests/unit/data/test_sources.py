"""Sources become documents: in a fixed order, whatever lies in the folders, and never a text that UTF-8 cannot hold."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autoresearch.data import readers
from autoresearch.data.decoding import PART_BYTES, undecodable_share
from autoresearch.data.document import Document, LeftOut
from autoresearch.data.sources import Sources
from autoresearch.data.text_spool import PIECE_BYTES, TextSpool, cut_position
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


class TestDecoding:
    def test_a_leading_byte_order_mark_is_dropped_and_an_inner_one_kept(self, tmp_path: Path) -> None:
        assert read(put(tmp_path / "a.txt", "\ufeffa\ufeff")) == [Document("a.txt", "a\ufeff")]

    def test_what_does_not_decode_is_replaced_and_marked(self, tmp_path: Path) -> None:
        assert read(put(tmp_path / "latin1.txt", b"caf\xe9\n")) == [
            Document("latin1.txt", "caf\ufffd\n", replaced=True)
        ]

    def test_a_replacement_character_of_the_author_is_not_ours(self, tmp_path: Path) -> None:
        assert not read(put(tmp_path / "a.txt", "\ufffd"))[0].replaced

    def test_lone_surrogates_of_json_are_replaced(self, tmp_path: Path) -> None:
        path = put(tmp_path / "a.jsonl", r'{"text": "\ud83d\ude00 pair, \ud800 lone"}')
        assert read(path) == [Document("a.jsonl:1", "\U0001f600 pair, \ufffd lone", replaced=True)]

    @given(data=st.binary(max_size=60))
    @example(data=b"\xed\xa0\x80")  # a surrogate in the bytes themselves
    def test_any_bytes_become_text_that_encodes(self, tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
        path = tmp_path_factory.getbasetemp() / "any.txt"
        path.write_bytes(data)
        share = undecodable_share(data.decode(errors="replace"), data.decode(errors="replace").count("\ufffd"))
        if share > 0.1:  # refused above 0.2: the marks in ``data`` itself make a difference
            return
        for document in read(path):
            kept = document.text.encode()
            assert document.replaced or kept == data.removeprefix(b"\xef\xbb\xbf")


class TestJsonLines:
    def test_each_line_is_a_document(self, tmp_path: Path) -> None:
        lines = [{"text": "one\ntwo"}, {"id": 7, "text": "three\u2028four"}]
        content = "\ufeff" + "\r\n".join(json.dumps(line, ensure_ascii=False) for line in lines) + "\n\n"
        assert read(put(tmp_path / "a.jsonl", content)) == [
            Document("a.jsonl:1", "one\ntwo"),
            Document("a.jsonl:2", "three\u2028four"),
        ]

    def test_empty_texts_are_skipped_and_the_numbers_are_those_of_the_lines(self, tmp_path: Path) -> None:
        path = put(tmp_path / "a.jsonl", '{"text": ""}\n\n{"text": "x"}')
        assert [document.name for document in read(path)] == ["a.jsonl:3"]

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ("{", "the line is not JSON: Expecting property name enclosed in double quotes"),
            ("\x00", "the line is not JSON: Expecting value, at character 1"),
            ("[" * 100_000, "the line is not JSON that can be read"),
            ("9" * 5000, "the line is not JSON that can be read"),
            ("[1]", "not an object with a string `text`"),
            ('"text"', "not an object with a string `text`"),
            ("7", "not an object with a string `text`"),
            ("null", "not an object with a string `text`"),
            ("{}", "no field `text`: the object is empty"),
            ('{"id": 1, "body": "x"}', "no field `text`, only body, id"),
            ('{"text": 7}', "field `text` is int, not a string"),
            ('{"text": null}', "field `text` is null, not a string"),
            ('{"text": ["a"]}', "field `text` is list, not a string"),
        ],
        ids=str,
    )
    def test_a_line_without_text_is_named_or_skipped(self, tmp_path: Path, line: str, problem: str) -> None:
        path = put(tmp_path / "bad.jsonl", '{"text": "good"}\n' + line + '\n{"text": "end"}\n')
        with pytest.raises(CorpusError, match=rf"bad\.jsonl, line 2: {problem}[\s\S]*--skip-bad-lines"):
            read(path)
        left_out = LeftOut()
        found = Sources(paths=(path,), skip_bad_lines=True).documents(left_out)
        assert [document.text for document in found] == ["good", "end"]
        assert left_out.bad_lines == 1

    @pytest.mark.parametrize("rest", ['{"text": "hal', '{"text"', '{"text": "whole"', "{"])
    def test_a_last_line_that_is_cut_off_is_called_that(self, tmp_path: Path, rest: str) -> None:
        path = put(tmp_path / "cut.jsonl", '{"text": "good"}\n' + rest)
        with pytest.raises(CorpusError, match=r"cut\.jsonl, line 2: the line is cut off: the file ends inside it"):
            read(path)

    def test_a_whole_last_line_needs_no_line_end(self, tmp_path: Path) -> None:
        assert len(read(put(tmp_path / "a.jsonl", '{"text": "a"}\n{"text": "b"}'))) == 2

    def test_another_field_is_read_where_it_is_chosen(self, tmp_path: Path) -> None:
        path = put(tmp_path / "a.jsonl", '{"text": null, "body": "b"}\n')
        assert [d.text for d in Sources(paths=(path,), field="body").documents()] == ["b"]

    def test_a_line_that_is_too_long_is_named_and_the_next_one_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(readers, "LONGEST_LINE", 1000)
        path = put(tmp_path / "a.jsonl", json.dumps({"text": "x" * 3500}) + '\n{"text": "next"}\n')
        with pytest.raises(CorpusError, match=r"line 1: the line is longer than 1,000 characters"):
            read(path)
        found = list(Sources(paths=(path,), skip_bad_lines=True).documents())
        assert [(d.name, d.text) for d in found] == [("a.jsonl:2", "next")]

    def test_a_long_text_comes_in_parts(self, tmp_path: Path) -> None:
        text = "naïve " * (PART_BYTES // 4)
        first, *others = read(put(tmp_path / "a.jsonl", json.dumps({"text": text})))
        assert not first.continues
        assert len(others) == 1
        assert others[0].continues
        assert first.text + others[0].text == text


class TestParquet:
    @pytest.fixture
    def arrow(self) -> Any:
        pytest.importorskip("pyarrow.parquet", reason="parquet sources need the package pyarrow")
        return sys.modules["pyarrow"]

    @pytest.mark.parametrize("kind", ["string", "large_string"])
    def test_each_row_is_a_document(self, tmp_path: Path, arrow: Any, kind: str) -> None:
        column = arrow.array(["one", " ", "", "naïve\r\n"], getattr(arrow, kind)())
        arrow.parquet.write_table(arrow.table({"id": [1, 2, 3, 4], "text": column}), tmp_path / "a.parquet")
        assert read(tmp_path / "a.parquet") == [
            Document("a.parquet:1", "one"),
            Document("a.parquet:2", " "),
            Document("a.parquet:4", "naïve\r\n"),
        ]

    def test_a_null_is_a_row_without_text_as_in_jsonl(self, tmp_path: Path, arrow: Any) -> None:
        table = arrow.table({"body": arrow.array(["one", None, "two"])})
        arrow.parquet.write_table(table, tmp_path / "a.parquet")
        sources = Sources(paths=(tmp_path / "a.parquet",), field="body")
        with pytest.raises(CorpusError, match=r"a\.parquet, row 2: field `body` is null, not a string"):
            list(sources.documents())
        left_out = LeftOut()
        skipping = Sources(paths=(tmp_path / "a.parquet",), field="body", skip_bad_lines=True)
        assert [document.text for document in skipping.documents(left_out)] == ["one", "two"]
        assert left_out.bad_lines == 1

    def test_a_categorical_column_is_text_too(self, tmp_path: Path, arrow: Any) -> None:
        column = arrow.array(["a", "b", "a"]).dictionary_encode()
        arrow.parquet.write_table(arrow.table({"text": column}), tmp_path / "a.parquet")
        assert [document.text for document in read(tmp_path / "a.parquet")] == ["a", "b", "a"]

    def test_bytes_that_are_no_utf8_are_replaced(self, tmp_path: Path, arrow: Any) -> None:
        column = arrow.array([b"caf\xe9"], arrow.binary()).view(arrow.string())
        arrow.parquet.write_table(arrow.table({"text": column}), tmp_path / "a.parquet")
        assert read(tmp_path / "a.parquet") == [Document("a.parquet:1", "caf\ufffd", replaced=True)]

    @pytest.mark.parametrize(("name", "values"), [("body", ["a"]), ("text", [7])])
    def test_another_column_is_not_guessed(self, tmp_path: Path, arrow: Any, name: str, values: list[Any]) -> None:
        arrow.parquet.write_table(arrow.table({name: values}), tmp_path / "a.parquet")
        with pytest.raises(CorpusError, match=rf"a\.parquet has no column `text` of strings, only {name} \("):
            read(tmp_path / "a.parquet")

    def test_a_damaged_file_is_named(self, tmp_path: Path, arrow: Any) -> None:
        arrow.parquet.write_table(arrow.table({"text": ["a" * 1000]}), tmp_path / "a.parquet")
        whole = (tmp_path / "a.parquet").read_bytes()
        (tmp_path / "a.parquet").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(CorpusError, match=r"a\.parquet, after row 0: not a readable parquet file"):
            read(tmp_path / "a.parquet")

    def test_a_missing_package_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
        with pytest.raises(MissingPackage, match=r"pyarrow[\s\S]*pip install 'autoresearch\[parquet\]'"):
            read(put(tmp_path / "a.parquet", b""))


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


class TestSpool:
    def test_it_gives_back_what_it_took(self) -> None:
        spool = TextSpool(io.BytesIO())
        for text in ("one", "zwölf", "three"):
            spool.add(Document("name", text))
        spool.finish()
        assert spool.size == len("onezwölfthree".encode())
        assert list(spool.pieces([(0, 3), (9, 14)])) == [(True, b"one"), (True, b"three")]
        assert spool.read(3, 9).decode() == "zwölf"

    def test_a_long_document_comes_in_pieces_of_whole_lines(self) -> None:
        spool = TextSpool(io.BytesIO())
        text = "a line of the long document\n" * (3 * PIECE_BYTES // 28)
        spool.add(Document("long", text))
        spool.finish()
        opens, pieces = zip(*spool.pieces([(0, spool.size)]), strict=True)
        assert opens == (True, *[False] * (len(pieces) - 1))
        assert len(pieces) > 2
        assert all(len(piece) <= PIECE_BYTES and piece.endswith(b"\n") for piece in pieces)
        assert b"".join(pieces) == text.encode()

    def test_a_long_line_is_cut_between_characters(self) -> None:
        spool = TextSpool(io.BytesIO())
        text = "x" + "\U0001f600" * (PIECE_BYTES // 2)
        spool.add(Document("line", text))
        spool.finish()
        assert "".join(piece.decode() for _, piece in spool.pieces([(0, spool.size)])) == text

    def test_name_text_and_the_border_between_them_are_hashed(self) -> None:
        hashes = set()
        for documents in (
            [("ab", "c")],
            [("a", "bc")],
            [("ab", "d")],
            [("a", "b"), ("", "c")],
            [("ab", "c"), ("", "c")],
        ):
            spool = TextSpool(io.BytesIO())
            for name, text in documents:
                spool.add(Document(name, text))
            spool.finish()
            hashes.add(spool.sha256)
        assert len(hashes) == 5

    def test_parts_make_the_document_that_they_are_parts_of(self) -> None:
        whole, parts = TextSpool(io.BytesIO()), TextSpool(io.BytesIO())
        whole.add(Document("a", "  \none two three", replaced=3))
        for i, text in enumerate(("  \n", "one ", "two three")):
            parts.add(Document("a", text, replaced=1, continues=i > 0))
        for spool in (whole, parts):
            spool.add(Document("b", "four"))
            spool.finish()
        assert (whole.sha256, whole.ends, whole.hashes) == (parts.sha256, parts.ends, parts.hashes)
        assert whole.replaced == parts.replaced == {"a": 3}
        assert whole.read(0, whole.size) == parts.read(0, parts.size)

    def test_blank_documents_are_counted_and_taken_back(self) -> None:
        spool = TextSpool(io.BytesIO())
        for text in ("one", "", " \n\t", "two", "\u2003"):
            spool.add(Document("name", text))
        spool.finish()
        assert (spool.blank, len(spool.ends), spool.read(0, spool.size)) == (3, 2, b"onetwo")

    @given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
    def test_a_cut_never_divides_a_character(self, text: str) -> None:
        block = text.encode()
        cut = cut_position(block)
        assert block[:cut].decode() + block[cut:].decode() == text
        assert cut or len(text) == 1
