"""What tests of the whole product share: settings that need no machine, and a small real corpus."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.daemon import final_report
from autoresearch.data.prepare import prepare
from autoresearch.data.sources import Sources
from autoresearch.data.tokenizer import TokenizerSpec
from autoresearch.storage.run_dir import REPORT

hypothesis.settings.register_profile("tests", deadline=None)  # a busy machine is no failure
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


@pytest.fixture(autouse=True)
def pages_where_they_are_asked_for(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of fakes takes milliseconds, its page a second: written in tests marked ``page`` and by real daemons."""
    if request.node.get_closest_marker("page") is None:
        monkeypatch.setattr(final_report, "reports", lambda: {REPORT: ()})


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings by dotted name, for a run in ``tmp_path / "run"`` with the proposer that needs no import."""

    def make(changes: Mapping[str, Any] | None = None, **flags: Any) -> Settings:
        return resolve(
            {"dir": tmp_path / "run", "proposer": "random", "iters": 3, **flags, **(changes or {})}, {}
        ).settings

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
