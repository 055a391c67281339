"""The spool gives back the text that it took, in pieces of whole characters, and hashes names and texts."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from autoresearch.data.document import Document
from autoresearch.data.text_spool import PIECE_BYTES, TextSpool, cut_position


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
