"""Fixtures for all tests: settings that need no machine, and a small real corpus."""

from __future__ import annotations

import os

# Before NumPy and torch are imported: a second thread spins while it waits, on the core of another test.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import gc
import itertools
import signal
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.text import plural
from autoresearch.daemon import service
from autoresearch.data.prepare import prepare
from autoresearch.data.sources import Sources
from autoresearch.data.tokenizer import TokenizerSpec
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.recording_observer import RecordingObserver
from tests.examples import examples

# A busy machine must not fail a test.
hypothesis.settings.register_profile("tests", deadline=None, max_examples=examples(100))
hypothesis.settings.load_profile("tests")

# Profile tiny, shrunk until a real trial takes a fraction of a second on one thread; a report takes longer than that.
QUICK_TRIALS = {
    "reports": [],
    "budget.size": 20,
    "baseline.lr_warmup": 3,
    "menu.knobs.lr_warmup.high": 5,
    "eval.bytes": 2048,
    "threads": 1,
}

# Most tests are about something else than the verdict, and one trial per configuration is enough for them.
ONE_SEED = {"decision.rule": "threshold"}
os.environ["AUTORESEARCH_DECISION__RULE"] = "threshold"  # for commands that tests run

MakeSettings = Callable[..., Settings]


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Settings by dotted name, for a run in ``tmp_path / "run"`` with the proposer that needs no import.

    The runs write no report, each of which is a process of half a second or more, unless ``reports`` lists one. Their
    rule is threshold, one trial per configuration, unless ``decision.rule`` says otherwise.
    """
    defaults = {"dir": tmp_path / "run", "proposer": "random", "iters": 3, "reports": []}
    defaults |= ONE_SEED

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
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three iterations, measured by a fake, with its text report: to be copied, not changed."""
    flags = {**ONE_SEED, "dir": tmp_path_factory.mktemp("finished") / "run", "proposer": "random", "iters": 3}
    settings = resolve({**flags, "reports": ["text"]}, {}).settings
    assert service.run(settings, RecordingObserver(), make_backend=fake_backend) == "complete"
    return settings.run_dir


@pytest.fixture(scope="session")
def quick_trials() -> dict[str, Any]:
    """Settings, by dotted name, under which a real trial is over in a fraction of a second."""
    return dict(QUICK_TRIALS)


DESELECTED_SLOW = pytest.StashKey[int]()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Thousands of tests and the modules that they import stay: the garbage collector walks over them not even once."""
    gc.disable()
    result = yield
    gc.freeze()
    gc.enable()
    return result


def pytest_configure(config: pytest.Config) -> None:
    """Where a shell runs the tests in the background, it ignores SIGINT for them; tests of Ctrl-C need it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count the slow tests that are left out."""
    slow = sum(item.get_closest_marker("slow") is not None for item in items)
    if slow:
        stash = items[0].config.stash
        stash[DESELECTED_SLOW] = stash.get(DESELECTED_SLOW, 0) + slow


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist, which alone collects tests, reports its count."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["slow"] = session.config.stash.get(DESELECTED_SLOW, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every worker collects the same tests, so that one count is enough."""
    node.config.stash[DESELECTED_SLOW] = getattr(node, "workeroutput", {}).get("slow", 0)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Iterator[None]:
    """Print on one line, below the reasons, what was not run and what would include it."""
    yield
    skipped = terminalreporter.stats.get("skipped", [])
    gpu = sum("gpu" in getattr(report, "keywords", ()) for report in skipped)  # a module as a whole has none
    parts = [
        (config.stash.get(DESELECTED_SLOW, 0), "slow", "make slow"),
        (gpu, "GPU", "they need a CUDA device"),
        (len(skipped) - gpu, "skipped", "the reasons are above"),
    ]
    if not_run := [f"{plural(n, f'{kind} test')} ({how})" for n, kind, how in parts if n]:
        terminalreporter.write_line(f"not run: {'; '.join(not_run)}")
