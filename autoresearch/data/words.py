"""GPT-2's words: where its regular expression cuts text, and an encoder that encodes each different word once.

The expression looks ahead by at most one character and never back. So text may be cut between two characters that no
word contains side by side, whatever stands around them: the words of both parts are the words of the whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import tokenizers

Ids = NDArray[np.uint32]

SPACE = r" \t\n\r\v\f"
# Exactly the library's expression, on ASCII text; it is slower, and gives offsets that nothing here needs.
ASCII_WORD = re.compile(r"'(?:[sdmt]|ll|ve|re)| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", re.ASCII)
# From a character outside ASCII to ASCII white space that ends a word; Unicode's white space may be part of its word.
NOT_ASCII = re.compile(rf"(?=[^\x00-\x7f])(?:[^\S\x00-\x7f]\s*|[^{SPACE}])+")
LETTERS = r"A-Za-z\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fa5\uac00-\ud7a3"  # letters in every version of Unicode
MARKS = r"!-/:-@\[-`{-~\u3001\u3002\uff01\uff08\uff09\uff0c\uff1a\uff1b\uff1f"
WORD_END = re.compile(rf"\S(?=[{SPACE}])|[0-9{LETTERS}](?=[{MARKS}])")
TAIL = 4096  # characters at the end of a block that are searched first
MOST_WORDS = 1 << 16  # kept, and those of one more text: some 15 MiB
LONGEST_WORD = 64  # characters of a word that is kept


def word_boundary(block: bytes) -> int:
    """The last place in a block of UTF-8 where no word is cut, as a byte offset; 0 if there is none.

    The end of the block may cut a character.
    """
    text = block.decode(errors="ignore")
    for start in (max(0, len(text) - TAIL), 0):
        ends = [match.end() for match in WORD_END.finditer(text, start)]
        if ends:
            return len(text[: ends[-1]].encode())
    return 0


class WordEncoder:
    """Encodes text by a table of words, which the library's ``encoder`` fills. Memory is bounded."""

    def __init__(self, encoder: tokenizers.Tokenizer) -> None:
        self._encoder = encoder
        self._known: dict[str, bytes] = {}

    def encode(self, text: str) -> Ids:
        """The ids of ``text``: those of the library, bit for bit."""
        words = list(_words(text))
        if len(self._known) > MOST_WORDS:
            self._known.clear()
        new = list(set(words).difference(self._known))
        self._known.update(self._ids(new))
        encoded = b"".join(map(self._known.__getitem__, words))
        for word in new:
            if len(word) > LONGEST_WORD:
                del self._known[word]
        return np.frombuffer(encoded, np.uint32)

    def _ids(self, words: Sequence[str]) -> dict[str, bytes]:
        encodings = self._encoder.encode_batch_fast(words, add_special_tokens=False)
        return {word: np.array(e.ids, np.uint32).tobytes() for word, e in zip(words, encodings, strict=True)}


def _words(text: str) -> Iterator[str]:
    """The words of ``text``; one part for words that are not ASCII, with what stands beside them."""
    place = 0
    for match in NOT_ASCII.finditer(text):
        start = _start_of_word(text, place, match.start())
        yield from ASCII_WORD.findall(text, place, start)
        yield text[start : match.end()]
        place = match.end()
    yield from ASCII_WORD.findall(text, place)


def _start_of_word(text: str, low: int, place: int) -> int:
    """The last place from ``low`` to ``place`` between a character and white space, else ``low``."""
    space = max(text.rfind(character, low, place) for character in " \t\n\r\v\f")
    return low + len(text[low : space + 1].rstrip(" \t\n\r\v\f")) if space >= 0 else low
