"""Words are those of the ``tokenizers`` library, and no cut changes them."""

from __future__ import annotations

import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from autoresearch.data import words
from autoresearch.data.tokenizer import train_bpe
from autoresearch.data.words import WordEncoder, word_boundary

tokenizers = pytest.importorskip("tokenizers", reason="the library is what words are compared with")

SPACES = " \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2003\u2028\u2029\u202f\u205f\u3000\u200b\ufeff"
OTHERS = "'sdmtlrveSA019!-.,;\x00\x7féßж東、。。²Ⅷ٣\U0001f600\U0001f1e6\u0301\U00020000\uac00ー"
TEXT = st.text(st.sampled_from("  ''" + SPACES + OTHERS), min_size=1, max_size=40) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20
)
SAMPLE = "we'll say that it's 東京、naïve привет\n    if x == 10:\n\t\tdon't(42, '—')  \n" * 20


@pytest.fixture(scope="module")
def library() -> tokenizers.Tokenizer:
    """The library's own encoder, with merges of all kinds of words."""
    return train_bpe([SAMPLE, SPACES * 5, OTHERS * 5], 700)._encoder._encoder


@pytest.fixture(scope="module")
def encoder(library: tokenizers.Tokenizer) -> WordEncoder:
    return WordEncoder(library)


def reference(library: tokenizers.Tokenizer, text: str) -> list[int]:
    ids: list[int] = library.encode(text, add_special_tokens=False).ids
    return ids


@given(text=TEXT)
@example(text="a\u00a0 b")
@example(text="\u3000 \u3000x")
@example(text="—\x1c! é\x1c")
@example(text="x \n\n  y'll  'll")
def test_any_text_has_the_ids_of_the_library(library: tokenizers.Tokenizer, encoder: WordEncoder, text: str) -> None:
    assert encoder.encode(text).tolist() == reference(library, text)


@given(text=TEXT, share=st.floats(0, 1))
@example(text="one\n  two", share=0.8)
@example(text="a\u00a0 b", share=0.9)
def test_a_cut_at_a_boundary_changes_no_id(library: tokenizers.Tokenizer, text: str, share: float) -> None:
    data = text.encode()
    cut = word_boundary(data[: int(share * len(data)) + 1])
    parts = reference(library, data[:cut].decode()) + reference(library, data[cut:].decode())
    assert parts == reference(library, text)


@pytest.mark.parametrize(
    ("block", "cut"),
    [
        (b"one two", 3),
        (b"one\n  two  ", 9),
        ("東京。\n大".encode(), 9),
        ("東京\uff0c大".encode(), 6),
        (b'{"a":1,"b', 6),
        (b"aaaa", 0),
        (b"   ", 0),
        (b"", 0),
        ("a b 東".encode()[:-1], 3),
        (b"one " + b"x" * 10_000, 3),
    ],
)
def test_the_last_boundary_is_found(block: bytes, cut: int) -> None:
    assert word_boundary(block) == cut


def test_a_table_that_is_full_or_without_long_words_encodes_the_same(
    library: tokenizers.Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "MOST_WORDS", 5)
    monkeypatch.setattr(words, "LONGEST_WORD", 3)
    encoder = WordEncoder(library)
    for text in (SAMPLE, "other words " * 9, SAMPLE):
        assert encoder.encode(text).tolist() == reference(library, text)
        assert all(len(word) <= 3 for word in encoder._known)
    encoder.encode("a b")
    assert len(encoder._known) == 2


@pytest.mark.parametrize(
    "text", ["x" * 300_000, "é" * 150_000, "a b " * 70_000, "é a\u00a0" * 60_000, "\u00a0" * 150_000]
)
def test_text_without_boundaries_takes_linear_time(encoder: WordEncoder, text: str) -> None:
    assert len(encoder.encode(text)) > 0
    word_boundary(text.encode())


def test_no_package_is_needed_to_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert word_boundary(b"one two") == 3
