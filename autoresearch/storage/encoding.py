"""The encoding of a log that an editor has saved anew: ours are ASCII, one byte for each character."""

from __future__ import annotations

import codecs

BEGINS_WITH_BOM = "begins with a byte-order mark (BOM), which an editor adds"

# The longer marks first: that of UTF-32 begins with that of UTF-16. Second is how a log begins without a mark.
_STARTS = tuple(
    (encoding, (bom, '{"seq":'.encode(codec)))
    for bom, encoding, codec in (
        (codecs.BOM_UTF32_LE, "UTF-32", "utf-32-le"),
        (codecs.BOM_UTF32_BE, "UTF-32", "utf-32-be"),
        (codecs.BOM_UTF16_LE, "UTF-16", "utf-16-le"),
        (codecs.BOM_UTF16_BE, "UTF-16", "utf-16-be"),
    )
)


def wide_encoding(data: bytes) -> str:
    """``UTF-16`` or ``UTF-32`` for data that begins like a log in it, with or without a byte-order mark; else empty."""
    return next((encoding for encoding, starts in _STARTS if data.startswith(starts)), "")


def describe_wide(encoding: str) -> str:
    """What is wrong with a log in ``encoding``."""
    return f"is in {encoding}, as an editor has saved it"


def decode_wide(data: bytes) -> bytes:
    """``data`` as UTF-8, where it is in one of these encodings; unchanged elsewhere."""
    if not (encoding := wide_encoding(data)):
        return data
    unit = 2 if encoding == "UTF-16" else 4
    is_big = data[0] == 0 or data.startswith(codecs.BOM_UTF16_BE)
    codec = f"{encoding.lower()}-{'be' if is_big else 'le'}"
    whole = data[: len(data) // unit * unit]  # a cut through a character is part of the torn tail
    return whole.decode(codec, "replace").removeprefix("\ufeff").encode()
