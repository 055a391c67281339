"""The whole lines of a journal, read block by block: exactly those that its parser accepts."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.errors import JournalDamaged
from autoresearch.storage.journal import Contents, parse
from autoresearch.storage.sealed_line import BLOCK_BYTES, Prefix, WholeLines, read_blocks, seal, unseal

SOUND = b"".join(seal(n, '{"stage":"x","text":"' + "y" * (7 * n % 40) + '"}') for n in range(12))


def blocks_of(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def parsed(data: bytes) -> tuple[Contents | None, str]:
    try:
        return parse(data, Path("j")), ""
    except JournalDamaged as e:
        return None, e.what


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A journal, cut anywhere, perhaps with other bytes in one place."""
    data = SOUND[: draw(st.integers(0, len(SOUND)))]
    at = draw(st.integers(0, len(data)))
    other = draw(st.sampled_from([b"", b"\n", b"\0\0", b" ", b'"', b'{"seq":3,"a":1}', seal(3, '{"a":1}'), SOUND[:60]]))
    return data[:at] + other + data[at + draw(st.integers(0, 3)) :]


@given(files(), st.integers(1, 200))
def test_every_file_in_every_blocks_is_read_as_the_parser_reads_it(data: bytes, size: int) -> None:
    lines = WholeLines(blocks_of(data, size))
    payloads = list(lines)
    assert (lines.count, b"".join(seal(n, p.decode()) for n, p in enumerate(payloads))) == (
        len(payloads),
        data[: lines.size],
    )
    tail = data[lines.size :]
    assert lines.stopped == (b"\n" in tail)
    assert lines.rest == (b"" if lines.stopped else tail)
    next_line = unseal(tail.partition(b"\n")[0]) if lines.stopped else None
    assert next_line is None or next_line[0] != lines.count
    contents, problem = parsed(data)
    if contents is None:
        assert f"line {lines.count + 1} " in problem
    else:
        assert (contents.payloads, contents.whole_bytes, contents.torn) == (payloads, lines.size, tail)


def test_a_number_that_another_program_wrote_with_zeros_is_read() -> None:
    line = seal(0, '{"a":1}').replace(b'"seq":0', b'"seq":00')
    assert list(WholeLines([line])) == [], "its checksum is of the number without them"
    body = b'{"seq":00,"a":1'
    assert list(WholeLines([body + b',"crc":"%08x"}\n' % crc32(body)])) == [b'{"a":1}']
    other = b'{"seq":01,"a":1'
    assert list(WholeLines([other + b',"crc":"%08x"}\n' % crc32(other)])) == []
    whole = seal(7, '{"a":1}')
    assert list(WholeLines([whole])) == [], "number 7 is not the first"


@given(st.integers(1, 12), st.integers(1, 100))
def test_a_prefix_stands_for_its_lines(count: int, size: int) -> None:
    before = WholeLines([b"".join(SOUND.splitlines(keepends=True)[:count])])
    head = list(before)
    prefix = Prefix(before.size, before.count, before.sha256)

    def blocks(start: int, end: int | None) -> list[bytes]:
        return blocks_of(SOUND[start:end], size)

    after = WholeLines.after(prefix, blocks)  # type: ignore[arg-type]
    assert after is not None
    whole = WholeLines([SOUND])
    assert head + list(after) == list(whole)
    assert (after.count, after.size, after.place, after.sha256) == (
        whole.count,
        whole.size,
        whole.place if count < 12 else 0,
        whole.sha256,
    )


def test_a_file_that_begins_with_something_else_has_no_such_prefix() -> None:
    def blocks(start: int, end: int | None) -> list[bytes]:
        return [SOUND[start:end]]

    assert WholeLines.after(Prefix(10, 1, "0" * 64), blocks) is None  # type: ignore[arg-type]
    for cut, count in ((len(SOUND), 11), (len(SOUND), 13), (len(SOUND) - 1, 12), (0, 0)):
        whole = sha256(SOUND[:cut]).hexdigest()
        assert WholeLines.after(Prefix(cut, count, whole), blocks) is None  # type: ignore[arg-type]
    assert WholeLines.after(None, blocks) is None  # type: ignore[arg-type]


class TestSeal:
    def test_number_payload_and_checksum_in_this_order(self) -> None:
        assert seal(7, '{"a":1}') == b'{"seq":7,"a":1,"crc":"%08x"}\n' % crc32(b'{"seq":7,"a":1')
        assert unseal(seal(7, '{"a":"\u00e9"}')[:-1]) == (7, '{"a":"\u00e9"}'.encode())

    def test_a_refusal_quotes_the_beginning_of_the_payload(self) -> None:
        with pytest.raises(ValueError, match="payload") as refused:
            seal(0, "[" + "1" * 100)
        what = "a payload must be a JSON object with at least one field, on one line, not '["
        assert str(refused.value) == what + "1" * 79 + "'"

    def test_what_is_no_sealed_line(self) -> None:
        line = seal(7, '{"a":1}')[:-1]
        for damaged in (line[:-1], line + b"}", line.replace(b":1", b":2"), line.replace(b'"seq":7', b'"seq":8'), b""):
            assert unseal(damaged) is None


class TestWholeLines:
    """By examples; what holds for any file and any blocks is above."""

    def test_of_nothing(self) -> None:
        lines = WholeLines([])
        assert (list(lines), lines.count, lines.size, lines.place, lines.rest) == ([], 0, 0, 0, b"")

    @pytest.mark.parametrize("size", [1, 7, 60, 10_000])
    def test_all_lines_of_a_sound_file(self, size: int) -> None:
        lines, ends = WholeLines(blocks_of(SOUND, size)), [i for i, byte in enumerate(SOUND, 1) if byte == 10]
        for n, payload in enumerate(lines):
            assert seal(n, payload.decode()) == SOUND.splitlines(keepends=True)[n]
            assert (lines.count, lines.size, lines.place) == (n + 1, ends[n], ends[n - 1] if n else 0)
        assert (lines.stopped, lines.rest, lines.sha256) == (False, b"", sha256(SOUND).hexdigest())

    @pytest.mark.parametrize("size", [1, 7, 10_000])
    def test_a_torn_line_at_the_end_is_the_rest(self, size: int) -> None:
        lines = WholeLines(blocks_of(SOUND[:-5], size))
        assert len(list(lines)) == lines.count == 11
        last = SOUND.splitlines(keepends=True)[-1]
        assert (lines.stopped, lines.rest, lines.size) == (False, last[:-5], len(SOUND) - len(last))
        assert lines.sha256 == sha256(SOUND[: lines.size]).hexdigest()

    @pytest.mark.parametrize("size", [1, 7, 10_000])
    def test_a_line_that_is_not_whole_or_not_the_next_stops_it(self, size: int) -> None:
        one, two, three, *rest = SOUND.splitlines(keepends=True)
        for wrong in (b"noise\n", three, one, two.replace(b"stage", b"Stage")):
            lines = WholeLines(blocks_of(b"".join([one, wrong, two, three, *rest]), size))
            assert len(list(lines)) == lines.count == 1
            assert (lines.stopped, lines.rest, lines.size, lines.place) == (True, b"", len(one), 0)

    def test_a_prefix_stands_for_its_lines_whatever_the_blocks(self) -> None:
        whole = SOUND.splitlines(keepends=True)
        for count in (1, 5, 12):
            head = b"".join(whole[:count])
            prefix = Prefix(len(head), count, sha256(head).hexdigest())

            def blocks(start: int, end: int | None) -> Iterator[bytes]:
                yield from blocks_of(SOUND[start:end], 50)

            after = WholeLines.after(prefix, blocks)
            assert after is not None
            assert (after.count, after.size, after.sha256) == (count, len(head), prefix.sha256)
            assert [seal(n, p.decode()) for n, p in enumerate(after, count)] == whole[count:]
            assert (after.count, after.size, after.sha256) == (12, len(SOUND), sha256(SOUND).hexdigest())

    def test_a_prefix_of_which_only_the_end_is_read_again(self) -> None:
        """One megabyte before its end, where the last line begins or not."""
        long = seal(0, '{"text":"' + "y" * (BLOCK_BYTES + 100) + '"}') + seal(1, '{"a":1}')
        prefix = Prefix(len(long), 2, sha256(long).hexdigest())
        read: list[tuple[int, int | None]] = []

        def blocks(start: int, end: int | None) -> Iterator[bytes]:
            read.append((start, end))
            yield long[start:end]

        assert WholeLines.after(prefix, blocks) is not None
        assert read == [(0, len(long)), (len(long) - BLOCK_BYTES, len(long))]


def test_blocks_of_an_open_file_end_where_they_should(tmp_path: Path) -> None:
    path, data = tmp_path / "file", bytes(range(256)) * (BLOCK_BYTES // 128)
    path.write_bytes(data)
    with path.open("rb") as file:
        fd = file.fileno()
        blocks = list(read_blocks(fd, 5, len(data)))
        assert [len(block) for block in blocks] == [BLOCK_BYTES, BLOCK_BYTES - 5]
        assert b"".join(blocks) == data[5:]
        assert list(read_blocks(fd, 3, 10)) == [data[3:10]]
        assert list(read_blocks(fd, 10, 10)) == []
        assert b"".join(read_blocks(fd, len(data) - 3, len(data) + 50)) == data[-3:], "the file is shorter by now"
