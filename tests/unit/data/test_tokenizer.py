"""Byte-level tokenizers: nothing is lost, bytes add up over tokens, and no text can forge the separator."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.data.tokenizer import (
    GPT2_SEPARATOR,
    GPT2_VOCAB,
    BpeTokenizer,
    ByteTokenizer,
    Tokenizer,
    TokenizerSpec,
    from_json,
    load_gpt2,
    train_bpe,
)
from autoresearch.errors import ConfigError, CorpusError, MissingPackage

pytest.importorskip("tokenizers", reason="the bpe and gpt2 tokenizers need the package tokenizers")

TEXTS = [
    "the cat sat on the mat, and the rat sat on the cat.\n" * 3,
    "naïve café, 東京, \U0001f600\r\n\ttabs  and   spaces",
]
UNICODE = st.text(st.characters(exclude_categories=["Cs"]))  # Cs: surrogates, which UTF-8 cannot hold


def gpt2_definition() -> dict[str, Any]:
    """A tokenizer.json with the shape of GPT-2's: 256 letters, 50000 merges of two letters, the separator."""
    letters: list[str] = json.loads(train_bpe([], 257).to_json())["tokens"]
    merges = [[left, right] for left in letters for right in letters][:50000]
    tokens = [*letters, *("".join(merge) for merge in merges), GPT2_SEPARATOR]
    separator = {"id": GPT2_VOCAB - 1, "content": GPT2_SEPARATOR, "special": True, "normalized": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [separator | {"single_word": False, "lstrip": False, "rstrip": False}],
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True},
        "model": {"type": "BPE", "vocab": {token: i for i, token in enumerate(tokens)}, "merges": merges},
    }


@pytest.fixture(scope="module")
def gpt2_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gpt2") / "tokenizer.json"
    path.write_text(json.dumps(gpt2_definition()))
    return path


@pytest.fixture(scope="module")
def tokenizers_by_kind(gpt2_file: Path) -> dict[str, Tokenizer]:
    return {"byte": ByteTokenizer(), "bpe": train_bpe(TEXTS, 300), "gpt2": load_gpt2(gpt2_file)}


@pytest.fixture(params=["byte", "bpe", "gpt2"])
def tokenizer(request: pytest.FixtureRequest, tokenizers_by_kind: dict[str, Tokenizer]) -> Tokenizer:
    return tokenizers_by_kind[request.param]


class TestEveryKind:
    def test_the_separator_is_the_last_id_and_stands_for_no_byte(self, tokenizer: Tokenizer) -> None:
        assert tokenizer.separator == tokenizer.vocab - 1
        assert len(tokenizer.token_bytes) == tokenizer.vocab
        assert tokenizer.token_bytes[tokenizer.separator] == 0
        assert min(tokenizer.token_bytes[:-1]) == 1
        assert tokenizer.decode([tokenizer.separator]) == b""

    def test_text_comes_back_byte_for_byte(self, tokenizer: Tokenizer) -> None:
        for text, ids in zip(TEXTS, tokenizer.encode_batch(TEXTS), strict=True):
            assert tokenizer.decode(ids) == text.encode()

    @pytest.mark.parametrize("special", [GPT2_SEPARATOR, "<|separator|>", "<s></s><unk>[SEP]\x00"])
    def test_no_text_becomes_the_separator(self, tokenizer: Tokenizer, special: str) -> None:
        (ids,) = tokenizer.encode_batch([f"before{special}after {special}"])
        assert tokenizer.separator not in ids.tolist()
        assert tokenizer.decode(ids) == f"before{special}after {special}".encode()

    def test_an_empty_text_has_no_ids_and_an_empty_batch_no_texts(self, tokenizer: Tokenizer) -> None:
        assert [ids.tolist() for ids in tokenizer.encode_batch([""])] == [[]]
        assert tokenizer.encode_batch([]) == []

    def test_the_definition_is_complete(self, tokenizer: Tokenizer) -> None:
        again = from_json(tokenizer.to_json())
        assert (again.kind, again.vocab, again.sha256) == (tokenizer.kind, tokenizer.vocab, tokenizer.sha256)
        assert again.token_bytes == tokenizer.token_bytes
        before, after = tokenizer.encode_batch(TEXTS), again.encode_batch(TEXTS)
        assert [ids.tolist() for ids in before] == [ids.tolist() for ids in after]

    def test_an_id_that_does_not_exist_is_an_error(self, tokenizer: Tokenizer) -> None:
        with pytest.raises(IndexError):
            tokenizer.decode([tokenizer.vocab])


@pytest.mark.parametrize("kind", ["byte", "bpe", "gpt2"])
@given(texts=st.lists(UNICODE, max_size=4))
def test_any_text_round_trips_and_its_bytes_add_up(
    tokenizers_by_kind: dict[str, Tokenizer], kind: str, texts: list[str]
) -> None:
    tokenizer = tokenizers_by_kind[kind]
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        assert tokenizer.decode(ids) == text.encode()
        assert sum(tokenizer.token_bytes[i] for i in ids) == len(text.encode())
        assert tokenizer.separator not in ids.tolist()


class TestByte:
    def test_ids_are_bytes(self) -> None:
        assert ByteTokenizer().encode_batch(["aé"])[0].tolist() == [0x61, 0xC3, 0xA9]
        assert (ByteTokenizer().vocab, ByteTokenizer().separator) == (257, 256)

    def test_it_needs_no_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "tokenizers", None)
        spec = TokenizerSpec("byte").fixed()
        assert spec is not None
        assert from_json(spec.to_json()).sha256 == spec.sha256


class TestBpe:
    def test_it_learns_what_repeats(self) -> None:
        tokenizer = train_bpe(TEXTS, 300)
        (ids,) = tokenizer.encode_batch(["the cat sat on the mat"])
        assert len(ids) < len("the cat sat on the mat") / 2

    def test_the_vocabulary_is_a_ceiling(self) -> None:
        assert train_bpe(TEXTS, 280).vocab == 280
        assert 257 < train_bpe(["abc abc"], 2048).vocab < 300

    def test_every_byte_is_encodable_even_if_it_was_never_seen(self) -> None:
        tokenizer = train_bpe(["ascii only"], 260)
        text = "".join(chr(i) for i in range(0x250)) + "\U0010ffff"
        assert tokenizer.decode(tokenizer.encode_batch([text])[0]) == text.encode()

    def test_training_again_gives_the_same_tokenizer(self) -> None:
        assert train_bpe(iter(TEXTS), 300).sha256 == train_bpe(TEXTS, 300).sha256
        assert train_bpe(TEXTS, 300).sha256 != train_bpe(TEXTS, 299).sha256

    def test_the_number_of_threads_has_no_say(self) -> None:
        assert _in_a_child(TRAIN, TOKENIZERS_PARALLELISM="false") == _in_a_child(TRAIN, RAYON_NUM_THREADS="3")

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
    def test_a_forked_child_can_still_encode(self) -> None:
        assert _in_a_child(FORK) == "0"

    def test_the_environment_of_the_user_is_respected(self) -> None:
        assert _in_a_child(PARALLELISM, TOKENIZERS_PARALLELISM="false") == "false"


class TestGpt2:
    def test_a_local_file_is_enough(self, gpt2_file: Path) -> None:
        tokenizer = load_gpt2(gpt2_file)
        assert (tokenizer.kind, tokenizer.vocab, tokenizer.separator) == ("gpt2", 50257, 50256)

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"pre_tokenizer": None}, "not byte-level"),
            ({"normalizer": {"type": "Lowercase"}}, "not byte-level"),
            ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}}, "byte-level"),
            ({"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}, "WordLevel, not BPE"),
            ({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}, "added_tokens": []}, "has 1 ids, not 50257"),
        ],
    )
    def test_another_tokenizer_is_refused(self, tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps(gpt2_definition() | change))
        with pytest.raises(CorpusError, match=complaint):
            load_gpt2(path)

    def test_the_separator_must_be_in_its_place(self, tmp_path: Path) -> None:
        definition = gpt2_definition()
        vocab = definition["model"]["vocab"]
        last = max(vocab, key=lambda token: vocab[token] * (token != GPT2_SEPARATOR))
        vocab[last], vocab[GPT2_SEPARATOR] = vocab[GPT2_SEPARATOR], vocab[last]
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps(definition | {"added_tokens": []}))
        with pytest.raises(CorpusError, match="has the id 50255, not 50256"):
            load_gpt2(path)

    @pytest.mark.parametrize("content", [None, b"", b"{}", b"\x00\xff"])
    def test_a_file_that_is_no_tokenizer_is_named(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "nothing.json"
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(CorpusError, match=r"cannot load .*nothing\.json"):
            load_gpt2(path)

    def test_without_file_and_network_it_says_what_to_do(self, tmp_path: Path) -> None:
        output = _in_a_child(OFFLINE, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
        assert "cannot load the gpt2 tokenizer of the Hugging Face hub" in output
        assert "local tokenizer.json" in output


class TestWhatCannotBe:
    def test_a_kind_that_does_not_exist(self) -> None:
        with pytest.raises(ConfigError, match=r"'gpt5' is unknown[\s\S]*byte, bpe, gpt2"):
            TokenizerSpec("gpt5")  # type: ignore[arg-type]

    def test_a_vocabulary_too_small_for_bytes(self) -> None:
        with pytest.raises(ConfigError, match="vocab_size 256 is too small"):
            TokenizerSpec("bpe", vocab_size=256)

    def test_a_file_for_a_tokenizer_that_has_none(self) -> None:
        with pytest.raises(ConfigError, match="the bpe tokenizer takes no tokenizer file"):
            TokenizerSpec("bpe", file=Path("tokenizer.json"))

    @pytest.mark.parametrize("kind", ["bpe", "gpt2"])
    def test_a_missing_package_is_named_before_any_work(self, kind: Any) -> None:
        output = _in_a_child(MISSING.format(kind=kind))
        assert output.startswith(MissingPackage.__name__)
        assert "pip install 'autoresearch[bpe]'" in output

    @pytest.mark.parametrize(
        "text",
        ["", "[]", "{}", '{"kind": "gpt5"}', '{"kind": "bpe"}', '{"kind": "bpe", "tokens": ["a"], "merges": []}'],
    )
    def test_a_damaged_definition(self, text: str) -> None:
        with pytest.raises(CorpusError):
            from_json(text)

    def test_a_definition_with_a_merge_of_unknown_tokens(self) -> None:
        definition = json.loads(train_bpe(TEXTS, 260).to_json())
        definition["merges"].append(["qq", "zz"])
        with pytest.raises(CorpusError, match="damaged"):
            from_json(json.dumps(definition))

    def test_a_token_outside_the_byte_alphabet(self) -> None:
        with pytest.raises(CorpusError, match="not in GPT-2's alphabet"):
            BpeTokenizer("bpe", ["東"], [])


TRAIN = f"""
from autoresearch.data.tokenizer import train_bpe
print(train_bpe({TEXTS!r} * 50, 300).sha256)
"""

FORK = f"""
import os, signal
from autoresearch.data.tokenizer import train_bpe
tokenizer = train_bpe({TEXTS!r}, 300)
tokenizer.encode_batch({TEXTS!r} * 20)
child = os.fork()
if not child:
    signal.alarm(20)
    tokenizer.encode_batch({TEXTS!r} * 20)
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""

PARALLELISM = """
import os
from autoresearch.data.tokenizer import train_bpe
train_bpe(["a"], 257)
print(os.environ["TOKENIZERS_PARALLELISM"])
"""

OFFLINE = """
from autoresearch.errors import CorpusError
from autoresearch.data.tokenizer import TokenizerSpec
try:
    TokenizerSpec("gpt2").fixed()
except CorpusError as e:
    print(e)
"""

MISSING = """
import sys
sys.modules["tokenizers"] = None
from autoresearch.errors import MissingPackage
from autoresearch.data.tokenizer import TokenizerSpec
try:
    TokenizerSpec("{kind}").fixed()
except MissingPackage as e:
    print("MissingPackage", e)
"""


def _in_a_child(code: str, **environment: str) -> str:
    """What ``code`` prints in a fresh interpreter, where nothing is imported and no thread runs."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TOKENIZERS", "RAYON"))}
    path = {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    quiet = ("-W", "ignore:This process:DeprecationWarning")  # from Python 3.12 on: a fork beside threads
    command = [sys.executable, *quiet, "-c", code]
    done = subprocess.run(command, env=inherited | path | environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "fork" not in done.stderr
    return done.stdout.strip()
