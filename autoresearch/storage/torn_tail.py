"""What can be the torn tail of a journal, left by a crash during an append, and what is other damage."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from itertools import pairwise

from autoresearch.storage.encoding import BEGINS_WITH_BOM, describe_wide, wide_encoding
from autoresearch.storage.sealed_line import unseal

_BEGIN = re.compile(rb'\{"seq":')
_SEALED = re.compile(rb'"crc":"[0-9a-f]{8}"\}$')
MAX_BOM_BYTES = 4
PRINTABLE = bytes(range(0x20, 0x7F))  # a record is ASCII without control characters
FEW_LINES = 4  # fewer do not show how long a line can be
SEAL_BYTES = 30  # of a line beside its payload: number, checksum, newline


def tail_problem(tail: bytes, payloads: Iterable[bytes]) -> str:
    """Why ``tail``, the bytes after the last whole line, is more than one torn append; empty if it can be one.

    ``payloads`` are those before it; they are read only where the length of a line counts.

    Blank lines, as an editor leaves them at the end, are not damage.
    """
    text, first = tail.rstrip(), tail.partition(b"\n")[0]
    if not text:
        return ""
    if (encoding := wide_encoding(tail)) and len(text) > MAX_BOM_BYTES:
        return describe_wide(encoding)
    if tail.startswith(codecs.BOM_UTF8):
        return BEGINS_WITH_BOM
    if first.endswith(b"\r") and unseal(first.rstrip()):
        return "ends in CRLF, which an editor writes"
    if not first.strip():
        return "is damaged: it is blank and is not the last"
    if b"\n" in text or _has_whole_line(text):
        return "is damaged and is not the last"
    return _too_long_for_one(text, payloads)


def _too_long_for_one(text: bytes, payloads: Iterable[bytes]) -> str:
    """Why the damaged ``text`` at the end must be several records; empty where it can be one.

    A crash leaves zeros only in the one line that was not yet acknowledged. A longer block has overwritten others.
    """
    foreign = len(text.translate(None, PRINTABLE))
    if not foreign:
        return ""
    shortest, limit = _line_lengths(payloads)
    if (foreign < shortest and not _SEALED.search(text)) or limit is None or len(text) <= limit:
        return ""
    kind = "zeros" if text.count(0) == foreign else "not text"
    cause = f"{len(text):,} bytes, {foreign:,} of them {kind}, where one record has at most {limit:,} so far"
    return f"is damaged and is more than one torn record: {cause}"


def split_lines(text: bytes) -> list[bytes]:
    """Split a physical line before each beginning of a record in it: where a newline was lost, there are several."""
    starts = [0, *(match.start() for match in _BEGIN.finditer(text, 1)), len(text)]
    return [text[a:b] for a, b in pairwise(starts)]


def _has_whole_line(text: bytes) -> bool:
    """Whether a whole line stands beside the damage: then a newline between lines was lost; a crash cannot cause it."""
    pieces = split_lines(text)
    return len(pieces) > 1 and any(unseal(piece.strip()) for piece in pieces)


def _line_lengths(payloads: Iterable[bytes]) -> tuple[int, int | None]:
    """How many bytes the shortest line has and the next can have, as far as the whole lines show it, else ``None``.

    That is the longest line that followed one of the last line's kind (its first field), and 20 % more.
    """
    count, kind, lengths = 0, b"", []
    followers: dict[bytes, int] = {}  # the longest, by the kind of the line before
    for payload in payloads:
        size = len(payload)
        if count:
            followers[kind] = max(followers.get(kind, 0), size)
        lengths.append(size)
        count, kind = count + 1, payload.partition(b",")[0]
    shortest = min(lengths, default=0) + SEAL_BYTES
    if count < FEW_LINES:
        return shortest, None
    return shortest, round(1.2 * (followers.get(kind, max(lengths)) + SEAL_BYTES))
