"""Bytes to text: the encoding by its byte order mark, bounded parts, and a count of what could not be decoded."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from typing import IO

PART_BYTES = 1 << 20  # decoded at a time; also what decides whether a file is text
MOST_UNDECODABLE = 0.2  # of the characters: above it, the bytes are not text in a supported encoding
BYTE_ORDER_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
CONTROL = bytes({*range(32), 127} - {*b"\a\b\t\n\v\f\r\x1b"})  # not in text, apart from the output of terminals
LONE_SURROGATE = re.compile("[\ud800-\udfff]")
MARK = "autoresearch.mark"

# A lone surrogate stands for each undecodable sequence, so that a replacement character of the author is not counted.
codecs.register_error(MARK, lambda e: ("\udc80", e.end))  # type: ignore[attr-defined]


def encoding_of(head: bytes) -> str:
    """The encoding that a byte order mark in ``head`` declares, else UTF-8. The mark is not part of the text."""
    return next((name for mark, name in BYTE_ORDER_MARKS if head.startswith(mark)), "utf-8-sig")


def decode_parts(stream: IO[bytes]) -> Iterator[str]:
    """The text of ``stream`` in parts, at least one; a lone surrogate stands for each sequence that does not decode."""
    head = stream.read(PART_BYTES)
    decoder = codecs.getincrementaldecoder(encoding_of(head))(errors=MARK)
    while len(head) == PART_BYTES:
        yield decoder.decode(head)
        head = stream.read(PART_BYTES)
    yield decoder.decode(head, final=True)


def decode_lines(stream: IO[bytes], longest: int) -> Iterator[str | None]:
    """The lines of ``stream`` with their ends, decoded as in ``decode_parts``; ``None``: more than ``longest`` bytes.

    Those are the bytes that Python needs: 1, 2 or 4 for each character, by the widest one of the line.
    """
    buffered = io.BufferedReader(stream, PART_BYTES)  # type: ignore[type-var]
    encoding = encoding_of(buffered.peek(4)[:4])
    with io.TextIOWrapper(buffered, encoding, errors=MARK, newline="\n") as lines:
        while part := lines.readline(PART_BYTES):
            yield part if len(part) < PART_BYTES or part.endswith("\n") else _long_line(part, lines, longest)


def _long_line(part: str, lines: io.TextIOWrapper, longest: int) -> str | None:
    """The line that begins with ``part``, read to its end."""
    parts, length, width = [part], len(part), _width(part)
    while not part.endswith("\n") and (part := lines.readline(PART_BYTES)):
        length, width = length + len(part), max(width, _width(part))
        if length * width <= longest:
            parts.append(part)
        else:
            parts.clear()
    return "".join(parts) if length * width <= longest else None


def _width(text: str) -> int:
    """Bytes of memory for each character."""
    widest = max(text)
    return 1 if widest < "\u0100" else 2 if widest < "\U00010000" else 4


def replace_marks(text: str) -> tuple[str, int]:
    """``text`` with U+FFFD for each lone surrogate, which UTF-8 cannot encode, and their number."""
    try:
        text.encode()  # much faster than a search
    except UnicodeEncodeError:
        return LONE_SURROGATE.subn("\ufffd", text)
    return text, 0


def undecodable_share(text: str, replaced: int) -> float:
    """The share of the characters of ``text`` that are replacements or control characters."""
    data = text.encode()
    controls = len(data) - len(data.translate(None, CONTROL))
    return (replaced + controls) / max(1, len(text))
