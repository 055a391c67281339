"""A long text becomes a document in parts, and what was left out is counted."""

from __future__ import annotations

import pytest

from autoresearch.data import document
from autoresearch.data.document import NAMED, Document, LeftOut, describe_kinds, split_document


def test_a_long_text_comes_in_bounded_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "PART_BYTES", 4)
    assert list(split_document("a", "\ufeffone two")) == [
        Document("a", "one "),
        Document("a", "two", continues=True),
    ]


@pytest.mark.parametrize("text", ["", "\ufeff"])
def test_an_empty_text_is_one_empty_part(text: str) -> None:
    assert list(split_document("a", text)) == [Document("a", "")]


def test_lone_surrogates_are_replaced_and_counted_in_each_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "PART_BYTES", 3)
    parts = list(split_document("\udc80", "a\ud800\ud800b\ud800"))
    assert parts == [Document("\ufffd", "a\ufffd\ufffd", 2), Document("\ufffd", "b\ufffd", 1, continues=True)]


def test_only_the_first_undecodable_files_are_named_and_all_are_counted() -> None:
    left_out = LeftOut()
    for i in range(NAMED + 3):
        left_out.add_undecodable(f"{i}.txt")
    assert left_out.undecodable == [f"{i}.txt" for i in range(NAMED)]
    assert left_out.undecodable_files == NAMED + 3


def test_kinds_are_described_the_most_frequent_first() -> None:
    assert describe_kinds({".json": 1, ".csv": 3, ".gz": 1}) == ".csv 3, .gz 1, .json 1"
    assert describe_kinds({}) == ""
