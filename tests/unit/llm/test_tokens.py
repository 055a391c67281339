"""The estimate of tokens, against tokenizers that are trained here: byte-level BPE that splits every digit."""

from __future__ import annotations

import pydoc_data.topics
import sysconfig
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from tokenizers.trainers import BpeTrainer

from autoresearch.config.settings import Settings
from autoresearch.daemon.policy import build_policy
from autoresearch.llm.tokens import estimate_tokens
from autoresearch.proposers.prompting.prompt import PromptInputs, build_prompt
from autoresearch.proposers.random import RandomProposer
from autoresearch.proposers.space import Space
from autoresearch.testing.fake_loop import fake_loop
from rails import default_menu

VOCAB = 4096  # an eighth of the smallest in use: with so few merges there are more tokens than any model would count
GOLDEN = Path(__file__).parents[2] / "assets" / "prompt.md"


def sources() -> list[str]:
    """The standard library's own modules, without what the build wrote: a list of acronyms is not text of this kind."""
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("[a-z]*.py"))[:80]
    return [file.read_text(encoding="utf-8", errors="replace") for file in files]


def english() -> list[str]:
    """The standard library's manual of the language."""
    return list(pydoc_data.topics.topics.values())


@pytest.fixture(scope="module", params=[sources, english])
def tokenizer(request) -> Tokenizer:
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = Sequence([Digits(individual_digits=True), ByteLevel(add_prefix_space=False)])
    trainer = BpeTrainer(vocab_size=VOCAB, initial_alphabet=ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(request.param(), trainer)
    return tokenizer


@pytest.fixture(scope="module")
def prompts() -> list[str]:
    """The golden prompt, and those of one night of 300 iterations with little, enough and plenty of room."""
    given = Settings(iters=300, baseline=default_menu().defaults)
    policy = build_policy(given)
    space = Space(policy.menu, policy.baseline, policy.steps)
    loop = fake_loop(given, RandomProposer(space, 0))
    loop.run()
    inputs = PromptInputs(space, loop.trajectory, "3 h 20 min", 4)
    return [GOLDEN.read_text(), *(build_prompt(inputs, tokens) for tokens in (2000, 4000, 100_000))]


def test_a_prompt_has_no_more_tokens_than_estimated_and_not_many_fewer(tokenizer, prompts):
    for prompt in prompts:
        counted = len(tokenizer.encode(prompt).ids)
        assert counted <= estimate_tokens(prompt) <= 2.5 * counted


def test_nor_has_other_text_of_the_kind(tokenizer):
    for text in [*sources()[:20], *english()[:20]]:
        counted = len(tokenizer.encode(text).ids)
        assert counted <= estimate_tokens(text) <= 2.5 * counted


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("the", 1),
        ("learning rate", 5),
        ("The AdamW", 3),
        ("LR", 1),
        ("0.0003", 6),
        ("lr = 1e-05", 9),
        ("{\"knob\": ", 7),
        ("\n\n- x", 4),
        ("    x", 2),
        ("\u6771\u4eac", 6),
        ("\ud800", 3),
    ],
)  # fmt: skip
def test_what_each_class_of_characters_counts(text, tokens):
    assert estimate_tokens(text) == tokens


@given(st.text())
def test_no_text_has_more_tokens_than_bytes(text):
    """More than that, no byte-level tokenizer can make of it."""
    assert estimate_tokens(text) <= len(text.encode())


@given(st.text(alphabet="0123456789.,;:+-%()[]{}\"'_= \n"))
def test_numbers_and_punctuation_are_never_underestimated(text):
    """The worst tokenizer has one token a byte for them."""
    spaces_that_join = text.count(" ")
    assert estimate_tokens(text) >= len(text) - spaces_that_join
