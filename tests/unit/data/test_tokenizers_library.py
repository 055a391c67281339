"""Too little memory for the library is an error before the library would abort the process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from autoresearch.data import tokenizers_library as module
from autoresearch.data.tokenizer import TokenizerSpec, train_bpe
from autoresearch.errors import CorpusError

pytest.importorskip("tokenizers", reason="the bpe tokenizer needs the package tokenizers")


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int | None]]:
    """The bytes that this process may still map, one for each time that they are read, the last one ever after."""
    values: list[int | None] = [None]
    monkeypatch.setattr(module, "address_space_left", lambda: values.pop(0) if len(values) > 1 else values[0])
    module.load_library.cache_clear()
    yield values
    module.load_library.cache_clear()


def test_a_thread_needs_its_stack_and_arena(left: list[int | None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYON_NUM_THREADS", "3")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    left[:] = [280 << 20]
    assert TokenizerSpec("bpe").fixed() is None
    module.load_library.cache_clear()
    left[:] = [279 << 20]
    with pytest.raises(CorpusError, match=r"needs 280 MiB more, and 279 MiB are left") as error:
        TokenizerSpec("bpe").fixed()
    assert "RAYON_NUM_THREADS=1" in error.value.hint
    assert TokenizerSpec("byte").fixed() is not None


def test_training_ends_before_the_words_take_more_than_half(left: list[int | None]) -> None:
    texts = ["some words ", "and some more words ", "and others "]
    left[:] = [1 << 30, 1 << 30, 500 << 20]  # as the library is loaded, before the first text, after it
    with pytest.raises(CorpusError, match="needs 524 MiB more, and 500 MiB are left"):
        train_bpe(texts, 300)
    left[:] = [1 << 30]
    assert train_bpe(texts, 300).vocab > 257
