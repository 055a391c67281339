"""Files become documents by one rule for every row, and never a text that UTF-8 cannot hold."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autoresearch.data import decoding, readers
from autoresearch.data.decoding import PART_BYTES, undecodable_share
from autoresearch.data.document import Document, LeftOut
from autoresearch.data.sources import Sources
from autoresearch.errors import CorpusError, MissingPackage


def read(*paths: Path) -> list[Document]:
    """The documents that are not blank."""
    return [document for document in Sources(paths=paths).documents() if document.text]


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


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

    @pytest.mark.parametrize("bad", [bytes(range(128, 256)), b"\0" * 128])
    @pytest.mark.parametrize(("parts", "words"), [(1, None), (2, "begins as text, but")])
    def test_a_file_that_begins_as_text_and_mostly_is_not_is_refused(
        self, tmp_path: Path, bad: bytes, parts: int, words: str | None
    ) -> None:
        text = b"x" * (4 * PART_BYTES)
        path = put(tmp_path / "late.txt", text + bad * (parts * PART_BYTES // 128))
        if words is None:
            assert sum(len(document.text) for document in read(path)) > len(text)
            return
        with pytest.raises(CorpusError, match=rf"late\.txt {words} \d\d% of its characters are undecodable"):
            read(path)

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
            ("{text: 1}", "the line is not JSON: Expecting property name enclosed in double quotes"),
            ("{", "the line is cut off: it ends inside its JSON text"),
            ('{"text": "hal', "the line is cut off: it ends inside its JSON text"),
            ('{"text": "whole",', "the line is cut off: it ends inside its JSON text"),
            ("\x00", "the line is not JSON: Expecting value, at character 1"),
            ("[" * 100_000, "the line is not JSON that can be read"),
            ("9" * 5000, "the line is not JSON that can be read"),
            ("[1]", "not an object with a string `text`"),
            ('"text"', "not an object with a string `text`"),
            ("7", "not an object with a string `text`"),
            ("null", "not an object with a string `text`"),
            ("{}", "no field `text`: the object is empty"),
            ('{"id": 1, "body": "x"}', "no field `text`, only body, id"),
            (json.dumps(dict.fromkeys("abcdefghijklmno", 0)), "no field `text`, only a, b, .*, l and 3 more"),
            (json.dumps({"k" * 100: 0}), f"no field `text`, only {'k' * 60}\n"),
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

    @pytest.mark.parametrize(
        ("text", "bytes_needed"),
        [
            ("x" * 987, 1000),
            ("x" * 988, 1001),
            ("x" * 3500, 3513),
            ("é" * 987, 1000),
            ("東" + "x" * 486, 1000),
            ("東" + "x" * 487, 1002),
            ("x" * 236 + "\U0001f600", 1000),
            ("x" * 237 + "\U0001f600", 1004),
        ],
        ids=["ascii", "longer", "much longer", "latin", "wide", "wide, longer", "widest", "widest, longer"],
    )
    def test_a_line_that_is_too_long_is_named_and_the_next_one_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, bytes_needed: int
    ) -> None:
        monkeypatch.setattr(decoding, "PART_BYTES", 100)
        monkeypatch.setattr(readers, "LONGEST_LINE", 1000)
        line = json.dumps({"text": text}, ensure_ascii=False)
        path = put(tmp_path / "a.jsonl", f'{line}\n{{"text": "next"}}\n')
        if bytes_needed <= 1000:
            assert [d.text for d in read(path)] == [text, "next"]
            return
        with pytest.raises(CorpusError, match=r"line 1: the line needs more than 1,000 bytes of memory; .* \.txt file"):
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
