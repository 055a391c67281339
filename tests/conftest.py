"""Fixtures for all tests: settings that need no machine, and a small real corpus."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.data.prepare import prepare
from autoresearch.data.sources import Sources
from autoresearch.data.tokenizer import TokenizerSpec

hypothesis.settings.register_profile("tests", deadline=None)  # a busy machine must not fail a test
hypothesis.settings.load_profile("tests")

# Profile tiny, shrunk until a real trial takes a fraction of a second on one thread.
QUICK_TRIALS = {
    "budget.size": 20,
    "baseline.lr_warmup": 3,
    "menu.knobs.lr_warmup.high": 5,
    "eval.bytes": 2048,
    "threads": 1,
}

MakeSettings = Callable[..., Settings]


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings by dotted name, for a run in ``tmp_path / "run"`` with the proposer that needs no import.

    The runs write no HTML page, which takes a second each, unless ``reports`` asks for one.
    """
    defaults = {"dir": tmp_path / "run", "proposer": "random", "iters": 3, "reports": ["text"]}

    def make(changes: Mapping[str, Any] | None = None, **flags: Any) -> Settings:
        return resolve({**defaults, **flags, **(changes or {})}, {}).settings

    return make


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a megabyte of the standard library as bytes: a real corpus, prepared once."""
    path = tmp_path_factory.mktemp("corpus") / "stdlib"
    documents = itertools.islice(Sources(stdlib=True).documents(), 20)
    prepare(documents, path, names=["20 documents of the standard library"], tokenizer=TokenizerSpec("byte"))
    return path


@pytest.fixture(scope="session")
def quick_trials() -> dict[str, Any]:
    """Settings, by dotted name, under which a real trial is over in a fraction of a second."""
    return dict(QUICK_TRIALS)
