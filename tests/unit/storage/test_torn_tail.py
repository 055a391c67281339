"""What one torn append can have left after the whole lines, and how everything else is named."""

from __future__ import annotations

import codecs

import pytest

from autoresearch.storage.sealed_line import seal
from autoresearch.storage.torn_tail import split_lines, tail_problem

LINE = seal(3, '{"stage":"trial"}')
LOST_NEWLINE = "is damaged and is not the last"
CRLF = "ends in CRLF, which an editor writes"
# After a line of kind a, which is the last one's, the longest has 300 bytes beside its seal.
SIZES = ((b"a", 100), (b"b", 200), (b"a", 150), (b"c", 300), (b"a", 150))
PAYLOADS = [kind + b"," + b"x" * (size - 2) for kind, size in SIZES]
SHORTEST, LIMIT = 130, round(1.2 * 330)


@pytest.mark.parametrize("tail", [b"", b"\n", b" \n\n\t", LINE[:-1], LINE[:20], b"\0" * 500, b"\xff\xfe", b"}\n"])
def test_these_can_be_one_torn_append(tail: bytes) -> None:
    assert tail_problem(tail, []) == ""


@pytest.mark.parametrize(
    ("tail", "problem"),
    [
        (codecs.BOM_UTF16_LE + b"{\0\x22", "is in UTF-16, as an editor has saved it"),
        (LINE.decode().encode("utf-32-be"), "is in UTF-32, as an editor has saved it"),
        (codecs.BOM_UTF8 + LINE, "begins with a byte-order mark (BOM), which an editor adds"),
        (codecs.BOM_UTF8, "begins with a byte-order mark (BOM), which an editor adds"),
        (LINE[:-1] + b"\r\n", CRLF),
        (LINE[:-1] + b"\r\n" + LINE, CRLF),
        (LINE[:-1] + b" \r", CRLF),
        (b"\n" + LINE, "is damaged: it is blank and is not the last"),
        (b" \t\nxx", "is damaged: it is blank and is not the last"),
        (b"xx\n" + LINE[:20], LOST_NEWLINE),
        (LINE[:20] + b"\r\n" + LINE, LOST_NEWLINE),
        (b"xx" + LINE, LOST_NEWLINE),
        (LINE[:-1] + b"xx", ""),
        (LINE[:-1] + LINE[:20], LOST_NEWLINE),
        (LINE[:20] + LINE[:-1], LOST_NEWLINE),
        (LINE[:20] + LINE[:25], ""),
    ],
)
def test_what_else_it_is(tail: bytes, problem: str) -> None:
    assert tail_problem(tail, []) == problem


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE + b"\n"])
def test_a_mark_alone_may_be_noise(mark: bytes) -> None:
    assert tail_problem(mark, []) == ""


class TestLength:
    """A crash leaves zeros or noise in one record; a longer block has overwritten several."""

    def too_long(self, size: int, foreign: int, kind: str, limit: int = LIMIT) -> str:
        what = f"{size:,} bytes, {foreign:,} of them {kind}, where one record has at most {limit:,} so far"
        return f"is damaged and is more than one torn record: {what}"

    def test_up_to_the_limit_it_is_one(self) -> None:
        assert tail_problem(b"\0" * LIMIT, PAYLOADS) == ""
        assert tail_problem(b"\0" * (LIMIT + 1), PAYLOADS) == self.too_long(LIMIT + 1, LIMIT + 1, "zeros")

    def test_large_numbers_have_separators(self) -> None:
        assert tail_problem(b"\0" * 5000, PAYLOADS) == self.too_long(5000, 5000, "zeros")

    def test_what_is_not_text_is_called_that(self) -> None:
        assert tail_problem(b"\xff\0" * 300, PAYLOADS) == self.too_long(600, 600, "not text")
        half = LINE[:20] + b"\0" * 600
        assert tail_problem(half, PAYLOADS) == self.too_long(620, 600, "zeros")

    def test_text_alone_can_have_any_length(self) -> None:
        assert tail_problem(b"x" * 10_000, PAYLOADS) == ""
        assert tail_problem(b" " + b"~" * 10_000, PAYLOADS) == ""

    def test_a_few_foreign_bytes_in_a_long_record_are_one_unless_it_ends_in_a_seal(self) -> None:
        few, many = b"\0" * (SHORTEST - 1), b"\0" * SHORTEST
        assert tail_problem(b"x" * 1000 + few, PAYLOADS) == ""
        assert tail_problem(b"x" * 1000 + many, PAYLOADS) == self.too_long(1000 + SHORTEST, SHORTEST, "zeros")
        sealed = b"x" * 1000 + b"\0" + b',"crc":"0123abcd"}'
        assert tail_problem(sealed, PAYLOADS) == self.too_long(len(sealed), 1, "zeros")

    def test_a_few_lines_do_not_show_how_long_one_can_be(self) -> None:
        assert tail_problem(b"\0" * 5000, PAYLOADS[:3]) == ""
        assert tail_problem(b"\0" * 5000, PAYLOADS[:4]) == self.too_long(5000, 5000, "zeros")

    def test_the_limit_is_that_of_the_longest_line_where_none_followed_this_kind(self) -> None:
        """The last one is the first of kind c."""
        payloads = PAYLOADS[:4]
        assert tail_problem(b"\0" * LIMIT, payloads) == ""
        assert tail_problem(b"\0" * (LIMIT + 1), payloads) == self.too_long(LIMIT + 1, LIMIT + 1, "zeros")

    def test_it_is_that_of_the_longest_follower_of_this_kind(self) -> None:
        """Of kind b one of 150 bytes followed; the longest of all has 300."""
        payloads, limit = [*PAYLOADS, b"b," + b"x" * 150], round(1.2 * 180)
        assert tail_problem(b"\0" * limit, payloads) == ""
        assert tail_problem(b"\0" * (limit + 1), payloads) == self.too_long(limit + 1, limit + 1, "zeros", limit)

    def test_the_longest_follower_counts_and_not_the_last_and_only_the_first_field_is_the_kind(self) -> None:
        sizes = ((b"a,1", 100), (b"c,2", 300), (b"a,3", 150), (b"b,4", 200), (b"a,5", 150))
        payloads = [kind + b"," + b"x" * (size - 4) for kind, size in sizes]
        assert tail_problem(b"\0" * LIMIT, payloads) == ""
        assert tail_problem(b"\0" * (LIMIT + 1), payloads) == self.too_long(LIMIT + 1, LIMIT + 1, "zeros")
        short = [*payloads, b"b,9," + b"x" * 146]
        assert tail_problem(b"\0" * 217, short) == self.too_long(217, 217, "zeros", 216)


def test_a_physical_line_is_split_before_each_beginning_of_a_record() -> None:
    assert split_lines(b"noise") == [b"noise"]
    assert split_lines(LINE) == [LINE]
    assert split_lines(LINE[:-1] + LINE[:20] + LINE) == [LINE[:-1], LINE[:20], LINE]
    assert split_lines(b"x" + LINE) == [b"x", LINE]
