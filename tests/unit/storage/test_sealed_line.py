"""The whole lines of a journal, read block by block: exactly those that its parser accepts."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from autoresearch.errors import JournalDamaged
from autoresearch.storage.journal import Contents, parse
from autoresearch.storage.sealed_line import Prefix, WholeLines, seal, unseal

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
    assert list(WholeLines([line])) == []
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
