"""What the engine needs of a suite, and what a suite needs of a model: Protocols and plain values."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.records import BenchMeta, BenchTrial, Ended, Grade, Unavailable
from autoresearch.core.llm_calls import Classification
from autoresearch.llm.tool_calls import NativeToolCall as NativeToolCall


class Infrastructure(Exception):
    """The server or the transport failed, after the project's own retries: the attempt has no result.

    ``cause`` is the value of a ``Classification`` of core/llm_calls.py; ``retry_after_s`` is the server's own request.
    """

    def __init__(self, cause: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause, self.detail, self.retry_after_s = cause, detail, retry_after_s


class WrongModel(Infrastructure):
    """The server has another model than the one that the run asks: the run is not continued with it."""

    def __init__(self, detail: str) -> None:
        super().__init__(Classification.MODEL_GONE, detail)


class ContextOverflow(Exception):
    """Prompt and completion do not fit; ``context_tokens`` is the length that the server reported, if it did."""

    def __init__(self, detail: str, context_tokens: int | None) -> None:
        super().__init__(detail)
        self.detail, self.context_tokens = detail, context_tokens


@dataclass(frozen=True, slots=True)
class ChatTurn:
    """One completion. ``text`` is the answer without its thinking; a count that was not reported is ``None``.

    What the server's field of tool calls holds beside well-formed calls stands at the end of ``text``, as JSON.
    """

    text: str
    thinking: str = ""
    tool_calls: tuple[NativeToolCall, ...] = ()
    finish_reason: str | None = None
    max_tokens: int | None = None  # of the completion, as sent
    model: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    latency_s: float = 0.0


class Chat(Protocol):
    """A model behind an OpenAI-compatible server, for one thread. Retries and deadlines are its own."""

    @property
    def context_tokens(self) -> int:
        """Tokens of prompt and completion together, as reported or assumed."""
        ...

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        max_tokens: int | None = None,
        seed: int | None = None,
    ) -> ChatTurn:
        """One completion; ``messages`` and ``tools`` are in OpenAI's form, ``seed`` is sent where given.

        ``max_tokens`` bounds the completion; ``None``: as set for the run. Raises ``Infrastructure``,
        ``ContextOverflow``, and ``core.ports.Interrupted`` once the run is to stop at once.
        """
        ...

    def count_tokens(self, text: str) -> int:
        """The server's own count where it has a tokenizer endpoint, else an estimate."""
        ...


class RunChat(Chat, Protocol):
    """The chat of one thread of a bench run; the engine opens and closes it."""

    def begin(self, sample: int) -> None:
        """Before each attempt: check that the server has the run's model, and set the seed of this sample.

        Raises ``Infrastructure``, ``WrongModel`` and ``Interrupted``.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a suite returns of one attempt; the engine adds case, sample, time and energy."""

    status: str
    answer: str | None
    turns: tuple[dict[str, Any], ...] = ()
    tokens_in: int | None = None
    tokens_out: int | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Bench:
    """The surroundings of one attempt."""

    chat: Chat | None  # None for a suite, or a case, that asks no model
    folder: Path  # of this attempt alone: created, empty; what it leaves stays as evidence
    limits: Mapping[str, float]
    options: Mapping[str, Any]
    stopped: Callable[[], bool]  # Ctrl-C twice: end now


@dataclass(frozen=True, slots=True)
class Graded:
    """A trial with the latest grade of each grader, by the grader's name without its version."""

    seq: int
    trial: BenchTrial
    grades: Mapping[str, Grade]


@dataclass(frozen=True, slots=True)
class BenchRun:
    """A bench run as read from its journal. ``planned`` = cases x samples; every planned sample is in a denominator."""

    path: Path
    meta: BenchMeta
    cases: CaseSet
    trials: Mapping[tuple[str, int], Graded]  # by case and sample
    ends: tuple[Ended, ...] = ()  # of its starts, in order
    unavailable: Mapping[tuple[str, int], Unavailable] = field(default_factory=dict)  # the latest, of missing attempts

    @property
    def planned(self) -> int:
        """How many attempts a complete run has."""
        return len(self.cases.cases) * self.meta.samples

    @property
    def missing(self) -> tuple[tuple[str, int], ...]:
        """The planned attempts without a trial, in order."""
        wanted = ((case.id, sample) for case in self.cases.cases for sample in range(self.meta.samples))
        return tuple(pair for pair in wanted if pair not in self.trials)


class Suite(Protocol):
    """One kind of case. Everything but ``attempt`` is pure, or reads the given files only."""

    @property
    def name(self) -> str: ...

    @property
    def grader(self) -> str:
        """name@version of its grader; a change of the grading raises the version."""
        ...

    @property
    def needs_model(self) -> bool:
        """Whether attempts get a ``Chat``; asked after ``options``, so that it may depend on the flags."""
        ...

    @property
    def default_limits(self) -> Mapping[str, float]: ...

    @property
    def prompt_text(self) -> str:
        """Everything of the prompt that is not the case: its hash is part of the run."""
        ...

    def add_flags(self, parser: argparse.ArgumentParser) -> None:
        """Define the suite's own flags of ``bench run``."""
        ...

    def options(self, args: argparse.Namespace) -> dict[str, Any]:
        """The options of the run, as plain JSON, from its flags. Raises ``ConfigError``."""
        ...

    def load(self, source: Path) -> CaseSet:
        """Read cases. Raises ``CorpusError`` that names file and line."""
        ...

    def attempt(self, case: Case, sample: int, bench: Bench) -> Attempt:
        """One attempt; called in one of several threads. Raises ``Infrastructure`` and ``Interrupted`` only.

        Another exception counts as an error of our own code: the attempt stays missing, and the run incomplete.
        """
        ...

    def grade(self, case: Case, trial: BenchTrial, folder: Path) -> Grade:
        """Grade a trial, in the main thread. Deterministic, needs no model. The engine sets the grade's ``trial``.

        ``folder`` is what the attempt left; it does not exist where the attempt left nothing.
        """
        ...

    def analyze(self, run: BenchRun) -> dict[str, Any]:
        """The suite's figures as plain JSON. Every planned sample is in every denominator."""
        ...

    def describe(self, analysis: Mapping[str, Any]) -> str:
        """The figures as text for a terminal."""
        ...

    def case_scores(self, run: BenchRun) -> dict[str, tuple[float | None, ...]]:
        """Of every case, the headline score of each planned sample, 0 to 1; ``None``: missing or ungraded."""
        ...

    def headline(self, run: BenchRun) -> str:
        """The name of that score, for example ``Accuracy@1``."""
        ...

    def is_rate(self, run: BenchRun) -> bool:
        """Whether that score is 0 or 1 by its definition: then one sample a case has Wilson's interval."""
        ...
