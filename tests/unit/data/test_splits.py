"""Equal documents are never in two splits, and the splits cover the unique text once."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.data.document import Document
from autoresearch.data.splits import assign_to_splits, unique_documents
from autoresearch.data.text_spool import TextSpool
from autoresearch.errors import CorpusError

FRACTIONS = (0.9, 0.05, 0.05)


def spooled(texts: list[str]) -> TextSpool:
    spool = TextSpool(io.BytesIO())
    for i, text in enumerate(texts):
        spool.add(Document(str(i), text))
    spool.finish()
    return spool


def parts(texts: list[str]) -> tuple[str, dict[str, list[str]]]:
    spool = spooled(texts)
    split_by, splits = assign_to_splits(spool, FRACTIONS)
    return split_by, {name: [piece.decode() for _, piece in spool.pieces(r)] for name, r in splits.items()}


def test_the_first_of_equal_documents_is_kept_in_order() -> None:
    spool = spooled(["b", "a", "b", "c", "a", "b"])
    documents, draws = unique_documents(spool)
    assert documents.tolist() == [[0, 1], [1, 2], [3, 4]]
    assert len(set(draws.tolist())) == 3


LINE = "a line that is one of the documents, number {}"


@pytest.mark.parametrize("different", [4, 7, 30])
@pytest.mark.parametrize("repeats", [1, 2, 15])
@pytest.mark.parametrize("in_rows", [True, False], ids=["aabb", "abab"])
def test_few_documents_that_repeat_are_cut_into_spans_without_repeats(
    different: int, repeats: int, in_rows: bool
) -> None:
    texts = [LINE.format(i) for i in range(different)] * repeats
    split_by, found = parts(sorted(texts) if in_rows else texts)
    assert split_by == "span"
    pieces = [piece for name in found for piece in found[name]]
    assert len(pieces) == len(set(pieces))
    assert sorted("".join(pieces)) == sorted("".join(set(texts)))


def test_spans_are_cut_between_documents_where_one_ends_near_enough() -> None:
    texts = [LINE.format(i) for i in range(100)]
    texts[50] *= 60
    split_by, found = parts(texts)
    assert split_by == "span"
    assert [text for name in ("train", "val", "test") for text in found[name]] == texts


def test_a_copy_of_the_largest_document_is_not_in_another_span() -> None:
    book = "".join(f"line {i} of the book\n" for i in range(1000))
    for texts in ([book, book], [book, "x" * 50, book], ["x" * 50, book, "y" * 70, book, book]):
        _, found = parts(texts)
        joined = "".join(piece for name in ("train", "val", "test") for piece in found[name])
        assert joined == "".join(dict.fromkeys(texts))


def test_repeats_that_leave_too_little_are_named() -> None:
    with pytest.raises(CorpusError, match=r"^1 bytes of text \(and 99 bytes of repeated documents\) are too few"):
        parts(["a"] * 100)


@given(texts=st.lists(st.text("ab\n", min_size=1, max_size=9).filter(str.strip), min_size=1, max_size=60))
def test_whatever_repeats_the_unique_text_is_covered_once(texts: list[str]) -> None:
    try:
        split_by, found = parts(texts)
    except CorpusError:
        return
    unique = list(dict.fromkeys(texts))
    pieces = [piece for name in ("train", "val", "test") for piece in found[name]]
    if split_by == "span":
        assert "".join(pieces) == "".join(unique)
    else:
        assert sorted(pieces) == sorted(unique)
