"""Read a damaged journal as far as it is whole: every line has its own number and checksum. Changes nothing."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from autoresearch.core.text import plural
from autoresearch.storage.encoding import BEGINS_WITH_BOM, decode_wide, describe_wide, wide_encoding
from autoresearch.storage.sealed_line import unseal
from autoresearch.storage.torn_tail import split_lines, tail_problem

MAX_SHOWN = 8  # problems in a warning


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line: its place in the file (from 1), its sequence number (from 0) and its payload."""

    number: int
    seq: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one line of a file, counted from 1."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line} {self.what}"


@dataclass(slots=True)
class LineReader:
    """Takes the lines of a journal one by one and continues after a bad one."""

    lines: int = 0  # taken so far
    problems: list[Problem] = field(default_factory=list)
    has_bom: bool = False
    crlf: int = 0  # lines that end in CRLF
    blank: int = 0  # blank lines before a line that is not blank
    _blank: int = 0
    _expected: int = 0
    _known: dict[int, int] = field(default_factory=dict)  # hash of the first payload with each number

    def take(self, raw: bytes) -> list[Line]:
        """Take the next line, without its newline. Return its whole lines: one, or several that lost their newlines."""
        self.lines += 1
        if (found := unseal(raw)) is None:
            raw = self._strip(raw)
            found = unseal(raw)
        if found is None and not raw:
            self._blank += 1
            return []
        self.blank, self._blank = self.blank + self._blank, 0
        whole = [found] if found else self._salvage(raw)
        return [line for line in (self._numbered(seq, payload) for seq, payload in whole) if line]

    def notes(self) -> list[str]:
        """What an editor has left in the file. It hides no record, but a run is not continued on it."""
        found = [f"the file {BEGINS_WITH_BOM}"] if self.has_bom else []
        if self.crlf:
            found.append(f"{plural(self.crlf, 'line')} of {self.lines:,} end in CRLF, which an editor writes")
        if self.blank:
            found.append(f"{plural(self.blank, 'blank line')} between records")
        return found

    def _strip(self, raw: bytes) -> bytes:
        if self.lines == 1 and raw.startswith(codecs.BOM_UTF8):
            self.has_bom, raw = True, raw.removeprefix(codecs.BOM_UTF8)
        self.crlf += raw.endswith(b"\r") and not raw.isspace()
        return raw.strip()

    def _salvage(self, raw: bytes) -> list[tuple[int, bytes]]:
        """The whole lines inside a physical line that is not whole; what is left of it is a problem."""
        pieces = split_lines(raw)
        found = [unseal(piece.strip()) for piece in pieces]
        rest = b"".join(piece for piece, whole in zip(pieces, found, strict=True) if whole is None)
        what = describe_damage(rest) if rest else "has lost a newline between two records"
        self.problems.append(Problem(self.lines, what))
        return [whole for whole in found if whole]

    def _numbered(self, seq: int, payload: bytes) -> Line | None:
        """The line, or ``None`` if it repeats an earlier one. A number out of order is a problem."""
        if self._known.get(seq) == hash(payload):
            self.problems.append(Problem(self.lines, f"repeats the record with number {seq}"))
            return None
        self._known.setdefault(seq, hash(payload))
        if seq != self._expected:
            self._note_number(seq)
        self._expected = max(self._expected, seq + 1)
        return Line(self.lines, seq, payload)

    def _note_number(self, seq: int) -> None:
        last = self.problems[-1] if self.problems else None
        if seq > self._expected and last and last.line in (self.lines - 1, self.lines):
            lost = plural(seq - self._expected, "record")
            self.problems[-1] = replace(last, what=f"{last.what}, in place of {lost}")
        else:
            what = f"has number {seq} where {self._expected} comes next"
            self.problems.append(Problem(self.lines, what))


@dataclass(frozen=True, slots=True)
class Survey:
    """What a journal holds: its whole lines in the order of the file, the torn bytes after them, and what is wrong."""

    lines: list[Line]
    torn: bytes
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]  # traces of an editor

    def warnings(self) -> tuple[str, ...]:
        """Problems and notes as sentences, at most ``MAX_SHOWN`` problems."""
        return (*shortened(self.problems), *self.notes)


def survey(data: bytes) -> Survey:
    """Read every whole line of a journal. Never raises: whatever is not a whole line is a problem or the torn tail."""
    notes = (f"the file {describe_wide(encoding)}",) if (encoding := wide_encoding(data)) else ()
    data = decode_wide(data)
    reader = LineReader()
    lines: list[Line] = []
    *ended, rest = data.split(b"\n")
    ended = [*ended, rest] if rest else ended
    cut = _torn_from(ended, data)
    for raw in ended[:cut]:
        lines += reader.take(raw)
    torn = b"\n".join(ended[cut:]) + (b"" if rest else b"\n") if cut < len(ended) else b""
    return Survey(lines, torn, tuple(reader.problems), (*notes, *reader.notes()))


def _torn_from(ended: Sequence[bytes], data: bytes) -> int:
    """The index of the first line of the torn tail: the last line that is not blank, if it is not whole."""
    last = len(ended)
    while last and not ended[last - 1].strip():
        last -= 1
    if not last:
        return 0 if data.strip(b"\r\n\t ") else len(ended)
    is_open = last == len(ended) and not data.endswith(b"\n")  # a line that lacks its newline was not acknowledged
    if not is_open and unseal(ended[last - 1].removeprefix(codecs.BOM_UTF8).strip()):
        return len(ended)
    before = [found[1] for found in map(unseal, ended[: last - 1]) if found] if b"\0" in ended[last - 1] else []
    return len(ended) if tail_problem(ended[last - 1], before) else last - 1


def describe_damage(raw: bytes) -> str:
    """What a line that is not whole consists of."""
    size, zeros = len(raw), raw.count(0)
    if zeros == size:
        return f"is damaged: {size:,} bytes, all zeros"
    if zeros:
        return f"is damaged: {size:,} bytes, {zeros:,} of them zeros"
    if raw.startswith(b'{"seq":') and raw.endswith(b'"}'):
        return f"is damaged: its checksum does not fit its {size:,} bytes"
    return f"is damaged: {size:,} bytes that are not a record"


def shortened(problems: Sequence[Problem]) -> Iterator[str]:
    """Yield the first problems as text, and how many more there are."""
    yield from map(str, problems[:MAX_SHOWN])
    if (more := len(problems) - MAX_SHOWN) > 0:
        last = problems[-1].line
        yield f"{plural(more, 'more problem')}, the last one in line {last}"
