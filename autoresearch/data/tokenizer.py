"""Byte-level tokenizers: every id encodes a known number of bytes, so bytes add up over tokens.

Three kinds: ``byte`` (one id per byte, no package needed), ``bpe`` (trained on the corpus), ``gpt2`` (the published
vocabulary). In each the document separator is the last id: it encodes zero bytes, and no text encodes to it, because it
is not in the encoder's vocabulary.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np

from autoresearch.data.tokenizers_library import load_library, while_memory_lasts
from autoresearch.data.words import Ids, WordEncoder
from autoresearch.errors import ConfigError, CorpusError

if TYPE_CHECKING:
    import tokenizers


Kind = Literal["byte", "bpe", "gpt2"]

DEFAULT_BPE_VOCAB = 2048
SMALLEST_VOCAB = 257  # 256 bytes and the separator
GPT2_VOCAB = 50257
GPT2_SEPARATOR = "<|endoftext|>"
GPT2_HINT = "pass a local tokenizer.json of openai-community/gpt2, or use the byte or bpe tokenizer"


class Tokenizer(Protocol):
    """The interface of a tokenizer. Ids are 0 to ``vocab - 1``; the last one is the separator."""

    @property
    def kind(self) -> Kind:
        """One of the three kinds."""
        ...

    @property
    def vocab(self) -> int:
        """Number of ids, including the separator."""
        ...

    @property
    def separator(self) -> int:
        """The id that precedes each document; encodes 0 bytes."""
        ...

    @property
    def token_bytes(self) -> tuple[int, ...]:
        """Bytes that each id encodes, 0 for the separator."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of ``to_json()``: the same definition has the same hash on every machine."""
        ...

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text, without separators. Memory grows with the texts, which the caller must limit."""
        ...

    def decode(self, ids: Iterable[int]) -> bytes:
        """The bytes that ``ids`` encode. Raises ``IndexError`` for an id that does not exist."""
        ...

    def to_json(self) -> str:
        """The complete definition, for ``from_json``."""
        ...


class ByteTokenizer:
    """One id per byte: its value."""

    kind: Kind = "byte"
    vocab = SMALLEST_VOCAB
    separator = 256
    token_bytes = (1,) * 256 + (0,)

    @property
    def sha256(self) -> str:
        """Hash of ``to_json()``."""
        return _text_sha256(self.to_json())

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The UTF-8 bytes of each text."""
        return [np.frombuffer(text.encode(), np.uint8).astype(np.uint32) for text in texts]

    def decode(self, ids: Iterable[int]) -> bytes:
        """The bytes, without separators."""
        return b"".join(_BYTE_PIECES[i] for i in ids)

    def to_json(self) -> str:
        """Only the kind: the rest is fixed."""
        return _canonical({"kind": self.kind})


class BpeTokenizer:
    """GPT-2's scheme (Radford et al. 2019): a regular expression cuts text into words, merges build tokens of bytes.

    ``tokens`` are in id order, written in GPT-2's byte alphabet; ``merges`` are in the order of their rank. The
    separator is not among them. Raises ``CorpusError`` if they do not define a tokenizer that can encode every byte.
    """

    def __init__(self, kind: Kind, tokens: Sequence[str], merges: Sequence[tuple[str, str]]) -> None:
        self.kind = kind
        self._tokens = tuple(tokens)
        self._merges = tuple(merges)
        self._pieces = (*_pieces(self._tokens), b"")
        self.separator = len(self._tokens)
        self.vocab = self.separator + 1
        self.token_bytes = tuple(len(piece) for piece in self._pieces)
        self.sha256 = _text_sha256(self.to_json())
        self._encoder = WordEncoder(_encoder(self._tokens, self._merges))

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """The ids of each text, computed on one core but for words that are new."""
        return [self._encoder.encode(text) for text in texts]

    def decode(self, ids: Iterable[int]) -> bytes:
        """The bytes, without separators; a single token need not be complete UTF-8."""
        return b"".join(self._pieces[i] for i in ids)

    def to_json(self) -> str:
        """Tokens and merges in our own layout: that of ``tokenizers`` may change with its version."""
        return _canonical({"kind": self.kind, "tokens": self._tokens, "merges": self._merges})


@dataclass(frozen=True, slots=True)
class TokenizerSpec:
    """Which tokenizer to use. Raises ``ConfigError`` for invalid values.

    ``vocab_size`` includes the separator and is a maximum, for ``bpe`` only (a small corpus has fewer merges to learn);
    ``file`` is a local ``tokenizer.json``, for ``gpt2`` only, instead of the download.
    """

    kind: Kind = "bpe"
    vocab_size: int = DEFAULT_BPE_VOCAB
    file: Path | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ConfigError(f"tokenizer {self.kind!r} is unknown", hint="choose one of " + ", ".join(get_args(Kind)))
        if self.vocab_size < SMALLEST_VOCAB:
            hint = f"give {SMALLEST_VOCAB} or more: 256 bytes and the separator"
            raise ConfigError(f"tokenizer vocab_size {self.vocab_size} is too small", hint=hint)
        if self.file is not None and self.kind != "gpt2":
            raise ConfigError(
                f"the {self.kind} tokenizer takes no tokenizer file", hint="remove it, or choose tokenizer gpt2"
            )

    def fixed(self) -> Tokenizer | None:
        """The tokenizer, or ``None`` if it must be trained on the corpus.

        Raises ``MissingPackage`` at once, before a long read of the corpus, and ``CorpusError`` as ``load_gpt2`` does.
        """
        if self.kind == "byte":
            return ByteTokenizer()
        if self.kind == "gpt2":
            return load_gpt2(self.file)
        load_library()
        return None


def train_bpe(texts: Iterable[str], vocab_size: int = DEFAULT_BPE_VOCAB) -> BpeTokenizer:
    """Learn merges from ``texts``; the same texts give the same tokenizer for any number of threads.

    Memory grows with the number of different words, not with the text. Raises ``MissingPackage``, and ``CorpusError``
    where a limit of this process leaves too little memory.
    """
    library = load_library()
    trainer = library.trainers.BpeTrainer(
        vocab_size=vocab_size - 1,
        initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    blank = library.Tokenizer(library.models.BPE())
    blank.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    blank.train_from_iterator(while_memory_lasts(texts), trainer)
    return _from_hugging_face("bpe", json.loads(blank.to_str()))


def load_gpt2(file: Path | None = None) -> BpeTokenizer:
    """GPT-2's tokenizer from a local ``tokenizer.json``, or else from the hub's cache or the hub.

    Raises ``MissingPackage``; ``CorpusError`` if the file is not that tokenizer or the hub cannot be reached.
    """
    library = load_library()
    name = f"{file}" if file else "the gpt2 tokenizer of the Hugging Face hub"
    try:
        source = library.Tokenizer.from_file(str(file)) if file else library.Tokenizer.from_pretrained("gpt2")
    except Exception as e:  # the library raises bare Exception, and whatever its download raised
        raise CorpusError(f"cannot load {name}: {e}", hint=GPT2_HINT) from e
    definition: dict[str, Any] = json.loads(source.to_str())
    wrong = _not_gpt2(definition)
    if wrong:
        raise CorpusError(f"{name} is not GPT-2's: {wrong}", hint=GPT2_HINT)
    return _from_hugging_face("gpt2", definition)


def from_json(text: str) -> Tokenizer:
    """The tokenizer of a ``to_json``. Raises ``CorpusError`` if it is damaged, ``MissingPackage``."""
    try:
        definition = json.loads(text)
        kind = definition["kind"]
        if kind == "byte":
            return ByteTokenizer()
        if kind in get_args(Kind):
            return BpeTokenizer(kind, definition["tokens"], [(left, right) for left, right in definition["merges"]])
    except (ValueError, KeyError, TypeError) as e:
        raise CorpusError(f"the tokenizer definition is damaged: {e!r}", hint="prepare the corpus again") from e
    raise CorpusError(f"tokenizer kind {kind!r} is unknown", hint="prepare the corpus again")


def _from_hugging_face(kind: Kind, definition: Mapping[str, Any]) -> BpeTokenizer:
    ids: dict[str, int] = definition["model"]["vocab"]
    tokens = sorted(ids, key=ids.__getitem__)
    if kind == "gpt2":
        tokens.pop()  # <|endoftext|>, the last: it must not be in the encoder's vocabulary
    return BpeTokenizer(kind, tokens, [(left, right) for left, right in definition["model"]["merges"]])


def _not_gpt2(definition: Mapping[str, Any]) -> str:
    """How this definition differs from GPT-2's, or an empty string."""
    model, cutter = definition["model"], definition["pre_tokenizer"] or {}
    if model["type"] != "BPE":
        return f"its model is {model['type']}, not BPE"
    if cutter.get("type") != "ByteLevel" or cutter["add_prefix_space"] or definition["normalizer"]:
        return "it is not byte-level (pre_tokenizer ByteLevel without prefix space, no normalizer)"
    if len(model["vocab"]) != GPT2_VOCAB or set(model["vocab"].values()) != set(range(GPT2_VOCAB)):
        return f"it has {len(model['vocab'])} ids, not {GPT2_VOCAB}"
    if model["vocab"].get(GPT2_SEPARATOR) != GPT2_VOCAB - 1:
        return f"{GPT2_SEPARATOR} has the id {model['vocab'].get(GPT2_SEPARATOR)}, not {GPT2_VOCAB - 1}"
    return ""


def _encoder(tokens: Sequence[str], merges: Sequence[tuple[str, str]]) -> tokenizers.Tokenizer:
    library = load_library()
    try:
        model = library.models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=list(merges))
    except Exception as e:  # the library raises bare Exception for a merge of unknown tokens
        raise CorpusError(f"the tokenizer definition is damaged: {e}", hint="prepare the corpus again") from e
    encoder: tokenizers.Tokenizer = library.Tokenizer(model)
    encoder.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return encoder


def _pieces(tokens: Sequence[str]) -> list[bytes]:
    """The bytes of each token. Raises ``CorpusError`` if one is not in GPT-2's alphabet or a byte has no token."""
    alphabet = _byte_alphabet()
    try:
        pieces = [bytes(alphabet[letter] for letter in token) for token in tokens]
    except KeyError as e:
        raise CorpusError(f"the tokenizer is not byte-level: {e} is not in GPT-2's alphabet", hint=GPT2_HINT) from e
    missing = {bytes([byte]) for byte in range(256)}.difference(pieces)
    if missing:
        raise CorpusError(f"the tokenizer is not byte-level: {len(missing)} bytes have no token", hint=GPT2_HINT)
    return pieces


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable letter for each byte: the byte itself if it prints, else the next letter from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(hidden)}


def _canonical(definition: Mapping[str, Any]) -> str:
    return json.dumps(definition, sort_keys=True, separators=(",", ":"))


def _text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


_BYTE_PIECES = (*(bytes([byte]) for byte in range(256)), b"")
