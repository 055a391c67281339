"""A bench run with the small suite and scripted chats: what the tests of the engine share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoresearch.benches.cases import CaseSet
from autoresearch.benches.conditions import sha256_of_text
from autoresearch.benches.engine import BenchObserver, Engine
from autoresearch.benches.patience import Patience
from autoresearch.benches.ports import BenchRun, RunChat
from autoresearch.benches.records import BenchMeta, BenchTrial, Ended, Grade, Unavailable
from autoresearch.benches.run_directory import open_directory, read_run
from autoresearch.testing.fake_chat import FakeChat
from autoresearch.testing.fake_suite import FakeSuite, fake_cases

CASES = fake_cases("a", "b/c", "d d")


@dataclass
class Clock:
    """Time that passes only while the engine waits."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeControl:
    """Stops after so many recorded trials, and at once where ``abort`` is set."""

    clock: Clock = field(default_factory=Clock)
    stopped: str = ""
    aborted: bool = False
    waits: list[float] = field(default_factory=list)

    def stop_reason(self) -> str:
        return self.stopped

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.clock.now += seconds


@dataclass
class Seen(BenchObserver):
    """What the engine reported, and what to do after each record."""

    trials: list[tuple[BenchTrial, Grade]] = field(default_factory=list)
    failures: list[Unavailable] = field(default_factory=list)
    progress: list[tuple[int, int]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    stops: list[tuple[str, int]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    then: Callable[[], None] = lambda: None

    def planned(self, done: int, planned: int) -> None:
        self.progress.append((done, planned))

    def recorded(self, trial: BenchTrial, grade: Grade) -> None:
        self.threads.add(threading.current_thread().name)
        self.trials.append((trial, grade))
        self.then()

    def unavailable(self, record: Unavailable) -> None:
        self.failures.append(record)
        self.then()

    def stopping(self, reason: str, under_way: int) -> None:
        self.stops.append((reason, under_way))

    def notify(self, message: str) -> None:
        self.messages.append(message)


def meta_of(suite: Any, cases: CaseSet, samples: int = 2, **changes: Any) -> BenchMeta:
    meta = BenchMeta(
        ts="2026-01-01T00:00:00.000Z",
        suite=suite.name,
        cases_sha256=cases.sha256,
        cases=len(cases.cases),
        samples=samples,
        model="fake-model",
        base_url="http://localhost:8000/v1",
        sampling={"temperature": 0.7, "top_p": None, "max_tokens": None, "seed": None, "refused": {}},
        prompt_sha256=sha256_of_text(suite.prompt_text),
        limits=dict(suite.default_limits),
        options={"loud": False},
        versions={"autoresearch": "0.1.0"},
    )
    return meta.model_copy(update=changes)


def oracle(messages: Any) -> str:
    """The right answer to each question of ``fake_cases``."""
    return str(messages[-1]["content"]).removeprefix("What is ").removesuffix("?")


def run_bench(
    path: Path,
    chat: Callable[[], RunChat] = lambda: FakeChat(oracle),
    *,
    suite: Any = None,
    cases: CaseSet = CASES,
    samples: int = 2,
    parallel: int = 1,
    control: FakeControl | None = None,
    seen: Seen | None = None,
    limit_s: float = 900.0,
    meter: Any = None,
    **changes: Any,
) -> Ended:
    """Begin or continue the run in ``path``; ``chat`` is opened in each thread."""
    suite = suite or FakeSuite()
    control = control or FakeControl()
    with open_directory(path) as directory:
        directory.begin(meta_of(suite, cases, samples, **changes), cases)
        engine = Engine(
            suite,
            cases,
            directory,
            control,
            lambda _stopped, _notify: chat(),
            parallel=parallel,
            observer=seen or Seen(),
            patience=Patience(limit_s, control.clock),
            **({"meter": meter} if meter else {}),
        )
        return engine.run()


def result(path: Path) -> tuple[BenchRun, dict[str, Any]]:
    """The run as anyone reads it, and its figures."""
    run = read_run(path)
    return run, FakeSuite().analyze(run)
