"""The ``Suite`` port: whatever model and files do, an attempt has a result, and a run has figures."""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.attempt_folder import attempt_folder, make_fresh, settle
from autoresearch.benches.cases import Case, CaseSet
from autoresearch.benches.ports import (
    Attempt,
    Bench,
    BenchRun,
    ChatTurn,
    ContextOverflow,
    Graded,
    Infrastructure,
    NativeToolCall,
    Suite,
)
from autoresearch.benches.records import BenchMeta, Grade
from autoresearch.benches.trial_record import record_attempt
from autoresearch.core.ports import Interrupted
from autoresearch.errors import AutoresearchError, CorpusError
from autoresearch.testing.fake_chat import FakeChat

TS = "2026-01-01T00:00:00.000Z"
ODD_REPLIES: dict[str, str | ChatTurn | Exception] = {
    "nothing": "",
    "white space": " \n\t ",
    "control characters": "\x00\x1b[2J\x7f",
    "a brace": "{",
    "deep nesting": "[" * 5000,
    "a long text": "word " * 50_000,
    "other scripts": "答案 ٣ \U0001f600",
    "tags without content": "<tool_call></tool_call><think></think>",
    "a boxed nothing": "\\boxed{}",
    "cut off": ChatTurn("The answer is", finish_reason="length"),
    "thinking alone": ChatTurn("", thinking="let me see", finish_reason="length"),
    "an unknown tool": ChatTurn("", tool_calls=(NativeToolCall("1", "no_such_tool", "{}"),)),
    "broken arguments": ChatTurn("", tool_calls=(NativeToolCall("1", "no_such_tool", '{"a": '),)),
    "half a surrogate pair": ChatTurn(
        "", tool_calls=(NativeToolCall("1", "finish", '{"ids": "\\ud800", "answer": "\\ud800"}'),)
    ),
    "half a pair in text": '<tool_call>{"name": "finish", "arguments": {"answer": "\\ud800"}}</tool_call>',
    "a prompt that does not fit": ContextOverflow("maximum context length is 100 tokens", 100),
    "a prompt that never fits": ContextOverflow("context size exceeded", None),
}


class SuiteContract:
    """For every implementation of ``autoresearch.benches.ports.Suite``."""

    args: tuple[str, ...] = ()  # of ``bench run``, beside the cases

    @pytest.fixture
    def suite(self) -> Any:
        """A new suite."""
        raise NotImplementedError

    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        """A file or folder with at least two cases; few of them, and cheap ones."""
        raise NotImplementedError

    def good_chat(self, case: Case) -> FakeChat:
        """A chat whose replies solve the case."""
        raise NotImplementedError

    # What a subclass need not change.

    @pytest.fixture
    def options(self, suite: Suite) -> dict[str, Any]:
        return suite.options(parse(suite, *self.args))

    @pytest.fixture
    def cases(self, suite: Suite, options: dict[str, Any], source: Path) -> CaseSet:
        return suite.load(source)

    @pytest.fixture
    def attempt(self, suite: Suite, options: dict[str, Any], tmp_path: Path) -> Callable[..., Attempt]:
        """Make one attempt of a case with a chat, in a fresh folder below ``tmp_path``."""

        def make(case: Case, chat: FakeChat, sample: int = 0, stopped: bool = False) -> Attempt:
            folder = attempt_folder(tmp_path, case.id, sample)
            make_fresh(folder)
            needed = chat if suite.needs_model else None
            try:
                return suite.attempt(
                    case, sample, Bench(needed, folder, suite.default_limits, options, lambda: stopped)
                )
            finally:
                settle(folder)

        return make

    def run_of(self, suite: Suite, cases: CaseSet, samples: int, graded: Mapping[tuple[str, int], Graded]) -> BenchRun:
        meta = BenchMeta(
            ts=TS,
            suite=suite.name,
            cases_sha256=cases.sha256,
            cases=len(cases.cases),
            samples=samples,
            model="fake-model",
            base_url=None,
            sampling={"temperature": 0.7, "top_p": None, "max_tokens": None, "seed": None},
            prompt_sha256="0" * 64,
            limits=dict(suite.default_limits),
            options=suite.options(parse(suite, *self.args)),
            versions={},
        )
        return BenchRun(Path("run"), meta, cases, graded)

    def graded(self, suite: Suite, case: Case, attempt: Attempt, folder: Path, sample: int, seq: int) -> Graded:
        trial = record_attempt(case.id, sample, attempt, TS, 1.0)
        grade = suite.grade(case, trial, attempt_folder(folder, case.id, sample)).model_copy(update={"trial": seq})
        return Graded(seq, trial, {suite.grader.partition("@")[0]: grade})

    def solved(self, suite: Suite, cases: CaseSet, attempt: Any, folder: Path, samples: int = 2) -> BenchRun:
        """A complete run in which every case was solved."""
        found: dict[tuple[str, int], Graded] = {}
        for case in cases.cases:
            for sample in range(samples):
                made = attempt(case, self.good_chat(case), sample)
                found[case.id, sample] = self.graded(suite, case, made, folder, sample, 2 * len(found) + 1)
        return self.run_of(suite, cases, samples, found)

    def test_it_names_itself_and_its_grader(self, suite: Suite) -> None:
        assert re.fullmatch(r"[a-z]+", suite.name)
        assert re.fullmatch(r"[\w-]+@\d+", suite.grader)
        assert all(math.isfinite(value) and value >= 0 for value in suite.default_limits.values())
        assert isinstance(suite.prompt_text, str)

    def test_its_flags_do_not_collide_with_those_of_the_command(self, suite: Suite) -> None:
        from autoresearch.cli.bench_run import add_flags

        parser = argparse.ArgumentParser()
        add_flags(parser, suite.name)
        suite.add_flags(parser)
        assert all(action.help for action in parser._actions)

    def test_its_options_are_plain_json(self, options: dict[str, Any]) -> None:
        assert json.loads(json.dumps(options, allow_nan=False)) == options

    def test_cases_are_plain_json_of_this_suite(self, suite: Suite, cases: CaseSet, source: Path) -> None:
        assert cases.suite == suite.name
        assert len(cases.cases) >= 2
        for case in cases.cases:
            assert case.suite == suite.name
            assert json.loads(json.dumps(case.payload, allow_nan=False)) == case.payload
        assert suite.load(source).sha256 == cases.sha256

    @pytest.mark.parametrize("content", [b"", b"\n\n", b"{", b"[]\n", b"null\n", b"\xff\xfe\x00", b"[" * 100_000])
    def test_a_file_that_holds_no_cases_is_refused(self, suite: Suite, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "odd.jsonl").write_bytes(content)
        with pytest.raises(AutoresearchError):
            suite.load(tmp_path / "odd.jsonl")

    def test_a_missing_file_and_an_empty_folder_are_refused(self, suite: Suite, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()
        for path in (tmp_path / "missing", tmp_path / "empty"):
            with pytest.raises(CorpusError):
                suite.load(path)

    def test_a_solved_case_is_finished_and_correct(
        self, suite: Suite, cases: CaseSet, attempt: Any, tmp_path: Path
    ) -> None:
        for case in cases.cases:
            made = attempt(case, self.good_chat(case))
            assert made.status == "finished"
            assert self.graded(suite, case, made, tmp_path, 0, 1).grades[suite.grader.partition("@")[0]].score == 1

    @pytest.mark.parametrize("reply", list(ODD_REPLIES))
    def test_whatever_the_model_writes_the_attempt_has_a_result_and_a_grade(
        self, suite: Suite, cases: CaseSet, attempt: Any, tmp_path: Path, reply: str
    ) -> None:
        if not suite.needs_model:
            pytest.skip("asks no model")
        case = cases.cases[0]
        made = attempt(case, FakeChat(ODD_REPLIES[reply]))
        assert made.status
        (grade,) = self.graded(suite, case, made, tmp_path, 0, 1).grades.values()
        assert grade.grader == suite.grader
        assert not grade.correct
        assert grade.score is None or 0 <= grade.score <= 1

    @pytest.mark.parametrize("error", [Infrastructure("unreachable", "refused"), Interrupted("now")], ids=type)
    def test_a_failure_of_the_server_and_a_stop_end_the_attempt_without_a_result(
        self, suite: Suite, cases: CaseSet, attempt: Any, error: Exception
    ) -> None:
        if not suite.needs_model:
            pytest.skip("asks no model")
        with pytest.raises(type(error)):
            attempt(cases.cases[0], FakeChat(error))

    def test_equal_replies_give_equal_attempts_and_grades(
        self, suite: Suite, cases: CaseSet, attempt: Any, tmp_path: Path
    ) -> None:
        case = cases.cases[0]
        first, second = (attempt(case, self.good_chat(case)) for _ in range(2))
        assert (first.status, first.answer) == (second.status, second.answer)
        (one,), (other,) = (self.graded(suite, case, a, tmp_path, 0, 1).grades.values() for a in (first, second))
        assert drop_time(one) == drop_time(other)

    def test_grading_changes_nothing_and_can_be_repeated(
        self, suite: Suite, cases: CaseSet, attempt: Any, tmp_path: Path
    ) -> None:
        case = cases.cases[0]
        trial = record_attempt(case.id, 0, attempt(case, self.good_chat(case)), TS, 1.0)
        folder = attempt_folder(tmp_path, case.id, 0)
        before = listing(folder)
        one, other = (suite.grade(case, trial, folder) for _ in range(2))
        assert drop_time(one) == drop_time(other)
        assert listing(folder) == before

    def test_a_trial_without_an_answer_is_not_correct(self, suite: Suite, cases: CaseSet, tmp_path: Path) -> None:
        trial = record_attempt(cases.cases[0].id, 0, Attempt("error", None), TS, 1.0)
        grade = suite.grade(cases.cases[0], trial, tmp_path / "missing")
        assert not grade.correct
        assert not grade.score

    def test_a_run_has_figures_at_any_time(self, suite: Suite, cases: CaseSet, attempt: Any, tmp_path: Path) -> None:
        whole = self.solved(suite, cases, attempt, tmp_path)
        pairs = list(whole.trials)
        for count in (0, 1, len(pairs) - 1, len(pairs)):
            analysis = suite.analyze(replace(whole, trials={pair: whole.trials[pair] for pair in pairs[:count]}))
            json.dumps(analysis, allow_nan=False)
            assert suite.describe(analysis).strip()

    def test_a_trial_without_a_grade_does_not_break_the_figures(
        self, suite: Suite, cases: CaseSet, attempt: Any, tmp_path: Path
    ) -> None:
        whole = self.solved(suite, cases, attempt, tmp_path)
        bare = {pair: replace(graded, grades={}) for pair, graded in whole.trials.items()}
        json.dumps(suite.analyze(replace(whole, trials=bare)), allow_nan=False)

    def test_figures_do_not_depend_on_the_order_of_the_trials(
        self, suite: Suite, cases: CaseSet, attempt: Any, tmp_path: Path
    ) -> None:
        whole = self.solved(suite, cases, attempt, tmp_path)
        again = {
            pair: Graded(1000 - graded.seq, graded.trial, graded.grades)
            for pair, graded in reversed(list(whole.trials.items()))
        }
        assert suite.analyze(replace(whole, trials=again)) == suite.analyze(whole)

    def test_scores_per_case_have_a_place_for_every_planned_sample(
        self, suite: Suite, cases: CaseSet, attempt: Any, tmp_path: Path
    ) -> None:
        whole = self.solved(suite, cases, attempt, tmp_path)
        scores = suite.case_scores(whole)
        assert set(scores) == {case.id for case in cases.cases}
        assert all(values == (1.0, 1.0) for values in scores.values())
        none = suite.case_scores(replace(whole, trials={}))
        assert all(values == (None, None) for values in none.values())
        assert suite.headline(whole)


def parse(suite: Suite, *args: str) -> argparse.Namespace:
    """The suite's own flags as parsed."""
    parser = argparse.ArgumentParser()
    suite.add_flags(parser)
    return parser.parse_args(args)


def drop_time(grade: Grade) -> dict[str, Any]:
    return grade.model_dump(exclude={"ts"})


def listing(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.exists() else []
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
