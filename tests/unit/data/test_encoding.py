"""A batch becomes ids with a separator before each document, in the byte order of the file."""

from __future__ import annotations

import numpy as np
import pytest

from autoresearch.data.encoding import PieceEncoder
from autoresearch.data.tokenizer import ByteTokenizer
from autoresearch.data.window_finder import WindowFinder


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_a_separator_stands_before_each_document(dtype: str) -> None:
    encoder = PieceEncoder(ByteTokenizer(), dtype, None)
    encoded = encoder.encode([(False, b"ab"), (True, b"c"), (True, b""), (True, "é".encode())], compare=True)
    ids = np.frombuffer(encoded.ids, np.dtype(dtype).newbyteorder("<"))
    assert ids.tolist() == [97, 98, 256, 99, 256, 256, 0xC3, 0xA9]
    assert encoded.compared is None


def test_only_train_is_compared() -> None:
    encoder = PieceEncoder(ByteTokenizer(), "uint16", WindowFinder(np.zeros(1, np.uint64)))
    assert encoder.encode([(True, b"a b")], compare=False).compared is None
    compared = encoder.encode([(True, b"a b")], compare=True).compared
    assert compared is not None
    assert (compared.found.tolist(), compared.first, compared.last) == ([], b"ab", b"ab")


def test_a_batch_without_text_has_no_ids() -> None:
    assert PieceEncoder(ByteTokenizer(), "uint16", None).encode([], compare=False).ids == b""
