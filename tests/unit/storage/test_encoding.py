"""A log that an editor has saved in another encoding is recognised, and read as what it was."""

from __future__ import annotations

import codecs

import pytest

from autoresearch.storage.encoding import decode_wide, wide_encoding
from autoresearch.storage.journal import seal

LOG = seal(0, '{"stage":"meta"}') + seal(1, '{"stage":"started"}')
CODECS = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
MARKS = dict(
    zip(CODECS, (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE), strict=True)
)


@pytest.mark.parametrize("marked", [True, False], ids=["with a mark", "without"])
@pytest.mark.parametrize("codec", CODECS)
def test_it_is_named_and_decoded(codec: str, marked: bool) -> None:
    data = (MARKS[codec] if marked else b"") + LOG.decode().encode(codec)
    assert wide_encoding(data) == codec[:6].upper()
    assert decode_wide(data) == LOG
    assert decode_wide(data[:-1]) == LOG[:-1], "cut through a character"


@pytest.mark.parametrize("data", [b"", LOG, codecs.BOM_UTF8 + LOG, b"\0" * 100, b"\0\0\0{" + b"\0" * 9, b"{", b"\xff"])
def test_everything_else_is_left_as_it_is(data: bytes) -> None:
    assert wide_encoding(data) == ""
    assert decode_wide(data) == data
