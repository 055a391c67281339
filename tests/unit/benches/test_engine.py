"""The engine with scripted chats: what is planned, recorded, graded, tried again and continued."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.attempt_folder import attempt_folder
from autoresearch.benches.cases import Case
from autoresearch.benches.ports import Attempt, Bench, ChatTurn, Infrastructure, WrongModel
from autoresearch.benches.records import BenchTrial, Grade
from autoresearch.core.ports import Interrupted
from autoresearch.errors import YardstickMismatch
from autoresearch.testing.fake_chat import FakeChat
from autoresearch.testing.fake_meter import fake_power
from autoresearch.testing.fake_suite import FakeSuite, fake_cases
from tests.engine_world import CASES, FakeControl, Seen, oracle, result, run_bench

DOWN = Infrastructure("unreachable", "connection refused")


def calls(path: Path, *chats: FakeChat, **more: Any) -> Any:
    """Run with these chats, one for each thread."""
    left = list(chats)
    return run_bench(path, lambda: left.pop(0), parallel=len(chats), **more)


class TestPlan:
    def test_every_sample_of_every_case_is_attempted_once_and_graded(self, tmp_path: Path) -> None:
        seen = Seen()
        ended = run_bench(tmp_path / "run", seen=seen)
        run, figures = result(tmp_path / "run")
        assert (ended.reason, ended.detail) == ("complete", "")
        assert figures == {"planned": 6, "trials": 6, "right": 6, "accuracy": 1.0}
        assert run.missing == ()
        assert [(t.case, t.sample) for t, _ in seen.trials] == [
            (case.id, sample) for sample in range(2) for case in CASES.cases
        ]
        assert seen.progress == [(done, 6) for done in range(7)]

    def test_the_main_thread_alone_records_and_grades(self, tmp_path: Path) -> None:
        graders: set[str] = set()

        class Watched(FakeSuite):
            def grade(self, case: Case, trial: BenchTrial, folder: Path) -> Grade:
                graders.add(threading.current_thread().name)
                return FakeSuite.grade(self, case, trial, folder)

        seen = Seen()
        run_bench(tmp_path / "run", suite=Watched(), parallel=3, seen=seen)
        assert graders == seen.threads == {threading.main_thread().name}

    def test_attempts_run_at_the_same_time_each_with_its_own_chat(self, tmp_path: Path) -> None:
        together = threading.Barrier(3, timeout=10)

        def meet(messages: Sequence[Any]) -> str:
            together.wait()
            return oracle(messages)

        chats = [FakeChat(meet) for _ in range(3)]
        calls(tmp_path / "run", *chats)
        assert [len(chat.requests) for chat in chats] == [2, 2, 2]
        assert all(chat.closed for chat in chats)
        assert sorted(sample for chat in chats for sample in chat.begun) == [0, 0, 0, 1, 1, 1]

    def test_what_is_done_is_skipped_and_more_samples_are_added(self, tmp_path: Path) -> None:
        run_bench(tmp_path / "run", samples=1)
        chat = FakeChat("wrong")
        run_bench(tmp_path / "run", lambda: chat, samples=3)
        assert chat.begun == [1, 1, 1, 2, 2, 2]
        assert result(tmp_path / "run")[1] == {"planned": 9, "trials": 9, "right": 3, "accuracy": 3 / 9}

    def test_a_complete_run_is_not_touched(self, tmp_path: Path) -> None:
        run_bench(tmp_path / "run")
        before = (tmp_path / "run/trials.jsonl").read_bytes()
        ended = run_bench(tmp_path / "run", lambda: FakeChat(AssertionError("asked")))
        assert ended.reason == "complete"
        assert (tmp_path / "run/trials.jsonl").read_bytes() == before

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"model": "other"}, "model: fake-model, now other"),
            ({"sampling": {"temperature": 0.2}}, "sampling.temperature: 0.7, now 0.2"),
            ({"prompt_sha256": "f" * 64}, "the prompt"),
            ({"limits": {"max_turns": 2.0}}, "limits.max_turns: 1.0, now 2.0"),
            ({"options": {"loud": True}}, "options.loud: False, now True"),
            ({"suite": FakeSuite(name="other")}, "suite: fake, now other"),
            ({"imported": "ns eval"}, "imported: none, now ns eval"),
            ({"samples": 1}, "samples: 2, now 1 (they may grow, not shrink)"),
            ({"cases": fake_cases("a")}, "the cases: 3 with sha256"),
        ],
    )
    def test_other_conditions_are_refused_by_name(self, tmp_path: Path, changes: dict[str, Any], named: str) -> None:
        run_bench(tmp_path / "run")
        before = (tmp_path / "run/trials.jsonl").read_bytes()
        with pytest.raises(YardstickMismatch) as refused:
            run_bench(tmp_path / "run", **changes)
        assert named in refused.value.what
        assert (tmp_path / "run/trials.jsonl").read_bytes() == before
        assert result(tmp_path / "run")[1]["planned"] == 6

    def test_another_address_and_other_versions_are_recorded_and_allowed(self, tmp_path: Path) -> None:
        run_bench(tmp_path / "run", samples=1)
        run_bench(tmp_path / "run", base_url="http://localhost:9/v1", versions={"autoresearch": "0.2.0"})
        meta = result(tmp_path / "run")[0].meta
        assert (meta.base_url, meta.versions) == ("http://localhost:9/v1", {"autoresearch": "0.2.0"})


class TestFailures:
    def test_a_server_that_fails_for_a_while_is_waited_for(self, tmp_path: Path) -> None:
        control, seen = FakeControl(), Seen()
        ended = calls(tmp_path / "run", FakeChat(*[DOWN] * 4, oracle), control=control, seen=seen)
        assert ended.reason == "complete"
        assert control.waits == [60.0, 120.0]
        assert [f.cause for f in seen.failures] == ["unreachable"] * 4
        assert result(tmp_path / "run")[1]["right"] == 6

    def test_one_that_stays_away_makes_the_run_incomplete(self, tmp_path: Path) -> None:
        control = FakeControl()
        ended = calls(tmp_path / "run", FakeChat(oracle, DOWN), control=control)
        assert ended.reason == "incomplete"
        assert ended.detail == "5 planned attempts missing (unreachable: connection refused)"
        assert control.waits == [60.0, 120.0, 240.0, 480.0]  # the next wait would have passed 900 s
        run, figures = result(tmp_path / "run")
        assert figures == {"planned": 6, "trials": 1, "right": 1, "accuracy": 1 / 6}
        assert len(run.missing) == 5

    def test_and_the_next_start_completes_it(self, tmp_path: Path) -> None:
        calls(tmp_path / "run", FakeChat(oracle, DOWN))
        assert run_bench(tmp_path / "run").reason == "complete"
        assert result(tmp_path / "run")[1]["right"] == 6
        assert [end.reason for end in result(tmp_path / "run")[0].ends] == ["incomplete", "complete"]

    def test_without_patience_three_failures_in_a_row_end_it(self, tmp_path: Path) -> None:
        control, chat = FakeControl(), FakeChat(DOWN)
        ended = calls(tmp_path / "run", chat, control=control, limit_s=0)
        assert (ended.reason, control.waits, len(chat.requests)) == ("incomplete", [], 3)

    def test_rejected_requests_are_not_waited_for(self, tmp_path: Path) -> None:
        control, chat = FakeControl(), FakeChat(Infrastructure("request_rejected", "HTTP 401"))
        ended = calls(tmp_path / "run", chat, control=control)
        assert (ended.reason, control.waits, len(chat.requests)) == ("incomplete", [], 3)
        assert "HTTP 401" in ended.detail

    def test_an_attempt_that_always_fails_does_not_hold_up_the_others(self, tmp_path: Path) -> None:
        def slow_on_a(messages: Any) -> str | Exception:
            return Infrastructure("timeout", "600 s") if oracle(messages) == "a" else oracle(messages)

        control, seen = FakeControl(), Seen()
        ended = calls(tmp_path / "run", FakeChat(slow_on_a), control=control, seen=seen)
        assert ended.reason == "incomplete"
        assert result(tmp_path / "run")[0].missing == (("a", 0), ("a", 1))
        assert 0 < len(seen.failures) <= 8
        assert sum(control.waits) <= 900

    def test_a_rejected_case_is_left_and_the_rest_goes_on(self, tmp_path: Path) -> None:
        def reject_a(messages: Any) -> str | Exception:
            return Infrastructure("request_rejected", "HTTP 400") if oracle(messages) == "a" else oracle(messages)

        chat = FakeChat(reject_a)
        ended = calls(tmp_path / "run", chat)
        assert (ended.reason, len(chat.requests)) == ("incomplete", 6)
        assert ended.detail == "2 planned attempts missing (request_rejected 2)"
        assert result(tmp_path / "run")[0].missing == (("a", 0), ("a", 1))

    def test_an_error_of_a_suite_is_no_result_of_the_model(self, tmp_path: Path) -> None:
        class Broken(FakeSuite):
            def attempt(self, case: Case, sample: int, bench: Bench) -> Attempt:
                if case.id == "a":
                    raise KeyError("a mistake")
                return FakeSuite.attempt(self, case, sample, bench)

        seen = Seen()
        ended = run_bench(tmp_path / "run", suite=Broken(), seen=seen)
        assert ended.reason == "incomplete"
        assert [f.cause for f in seen.failures] == ["internal_error"] * 2
        assert ended.detail == "2 planned attempts missing (internal_error 2)"
        assert "KeyError: 'a mistake'" in seen.failures[0].detail
        assert run_bench(tmp_path / "run").reason == "complete"

    @pytest.mark.parametrize("value", [object(), {3: 4}])
    def test_a_result_that_no_record_can_hold_is_an_error_of_the_suite(self, tmp_path: Path, value: Any) -> None:
        class Odd(FakeSuite):
            def attempt(self, case: Case, sample: int, bench: Bench) -> Attempt:
                return Attempt("finished", "a", evidence=value if isinstance(value, dict) else {"a": value})

        seen = Seen()
        assert run_bench(tmp_path / "run", suite=Odd(), seen=seen, samples=1).reason == "incomplete"
        assert [f.cause for f in seen.failures] == ["internal_error"] * 3
        assert result(tmp_path / "run")[1]["trials"] == 0

    def test_a_number_that_json_lacks_is_recorded_as_null(self, tmp_path: Path) -> None:
        class Odd(FakeSuite):
            def attempt(self, case: Case, sample: int, bench: Bench) -> Attempt:
                return Attempt("finished", "a", evidence={"a": float("nan"), "b": [float("inf")]})

        assert run_bench(tmp_path / "run", suite=Odd(), samples=1).reason == "complete"
        assert result(tmp_path / "run")[0].trials["a", 0].trial.evidence == {"a": None, "b": [None]}

    def test_half_a_surrogate_pair_in_an_answer_is_replaced(self, tmp_path: Path) -> None:
        class Odd(FakeSuite):
            def attempt(self, case: Case, sample: int, bench: Bench) -> Attempt:
                return Attempt("finished", "a\ud800", ({"text": "\ud800"},), evidence={"a": ["\udfff"]})

        assert run_bench(tmp_path / "run", suite=Odd(), samples=1).reason == "complete"
        trial = result(tmp_path / "run")[0].trials["a", 0].trial
        assert (trial.answer, trial.turns, trial.evidence) == ("a?", ({"text": "?"},), {"a": ["?"]})

    def test_another_model_ends_the_run_and_names_both(self, tmp_path: Path) -> None:
        chat = FakeChat(oracle, WrongModel("this run asks A; the server now has B"))
        with pytest.raises(YardstickMismatch, match="asks A; the server now has B"):
            calls(tmp_path / "run", chat)
        assert len(chat.requests) == 2
        assert len(result(tmp_path / "run")[0].trials) == 1
        assert run_bench(tmp_path / "run").reason == "complete"


class TestStops:
    def test_the_first_signal_lets_what_is_under_way_finish(self, tmp_path: Path) -> None:
        control = FakeControl()
        seen = Seen(then=lambda: setattr(control, "stopped", "SIGINT"))
        ended = run_bench(tmp_path / "run", parallel=2, control=control, seen=seen)
        assert ended.reason == "stopped"
        assert ended.detail.endswith("(SIGINT)")
        run, _ = result(tmp_path / "run")
        assert 1 <= len(run.trials) <= 3
        assert all(graded.grades for graded in run.trials.values())
        assert run_bench(tmp_path / "run").reason == "complete"

    def test_the_second_ends_attempts_without_a_record(self, tmp_path: Path) -> None:
        control, asked = FakeControl(), threading.Event()

        class Endless(FakeSuite):
            def attempt(self, case: Case, sample: int, bench: Bench) -> Attempt:
                asked.set()
                control.stopped, control.aborted = "SIGINT", True
                while not bench.stopped():
                    pass
                raise Interrupted("stopped")

        ended = run_bench(tmp_path / "run", suite=Endless(), control=control)
        assert asked.is_set()
        assert ended.reason == "stopped"
        assert result(tmp_path / "run")[1]["trials"] == 0
        assert run_bench(tmp_path / "run").reason == "complete"

    def test_a_stop_ends_a_wait_for_the_server(self, tmp_path: Path) -> None:
        control = FakeControl()
        control.wait = lambda _seconds: setattr(control, "stopped", "SIGTERM")  # type: ignore[method-assign]
        ended = calls(tmp_path / "run", FakeChat(DOWN), control=control)
        assert (ended.reason, ended.detail) == ("stopped", "6 planned attempts missing (SIGTERM)")


class TestGrades:
    def test_a_grader_that_fails_leaves_the_trial_ungraded(self, tmp_path: Path) -> None:
        class Broken(FakeSuite):
            def grade(self, case: Case, trial: BenchTrial, folder: Path) -> Grade:
                raise RuntimeError("a mistake")

        run_bench(tmp_path / "run", suite=Broken())
        grades = [g for graded in result(tmp_path / "run")[0].trials.values() for g in graded.grades.values()]
        assert [(g.score, g.correct) for g in grades] == [(None, None)] * 6
        assert "RuntimeError: a mistake (test_engine.py" in grades[0].detail["error"]

    def test_a_new_version_of_the_grader_grades_again_without_a_model(self, tmp_path: Path) -> None:
        run_bench(tmp_path / "run", lambda: FakeChat("wrong"))

        class Lenient(FakeSuite):
            def grade(self, case: Case, trial: BenchTrial, folder: Path) -> Grade:
                return Grade(ts=trial.ts, trial=0, grader="fake@2", score=1.0, correct=True)

        run_bench(tmp_path / "run", lambda: FakeChat(AssertionError("asked")), suite=Lenient(grader="fake@2"))
        run, figures = result(tmp_path / "run")
        assert figures["right"] == 6
        assert {g.grader for graded in run.trials.values() for g in graded.grades.values()} == {"fake@2"}


class TestEvidence:
    def test_each_attempt_has_a_folder_that_is_empty_at_its_beginning(self, tmp_path: Path) -> None:
        class Looking(FakeSuite):
            def attempt(self, case: Case, sample: int, bench: Bench) -> Attempt:
                assert list(bench.folder.iterdir()) == []
                return FakeSuite.attempt(self, case, sample, bench)

        left = attempt_folder(tmp_path / "run", "a", 0)
        left.mkdir(parents=True)
        (left / "of a killed attempt").touch()
        assert run_bench(tmp_path / "run", suite=Looking()).reason == "complete"
        assert [f.name for f in left.iterdir()] == ["reply.txt"]

    def test_a_record_has_what_the_attempt_took(self, tmp_path: Path) -> None:
        seen = Seen()
        turn = ChatTurn("a", tokens_in=7, tokens_out=3)
        calls(tmp_path / "run", FakeChat(turn), seen=seen, samples=1)
        trial, grade = seen.trials[0]
        assert (trial.tokens_in, trial.tokens_out, trial.status, trial.answer) == (7, 3, "finished", "a")
        assert trial.wall_s is not None
        assert trial.wall_s >= 0
        assert trial.energy_j is None
        assert (grade.correct, grade.answer) == (True, "a")

    def test_odd_text_of_a_model_is_recorded_and_read_back(self, tmp_path: Path) -> None:
        seen = Seen()
        calls(tmp_path / "run", FakeChat("\x00\x1b[31m\u2028 答"), seen=seen, samples=1)
        assert seen.trials[0][0].answer == "\x00\x1b[31m\u2028 答"
        assert (tmp_path / "run/trials.jsonl").read_bytes().isascii()
        assert result(tmp_path / "run")[0].trials["a", 0].trial.answer == "\x00\x1b[31m\u2028 答"


class CountingMeter:
    """Ten joules whenever it is settled."""

    phases: list[str]

    def __init__(self) -> None:
        self.phases = []

    def poll(self) -> None:
        pass

    def phase(self, name: Any) -> None:
        self.phases.append(name)

    def settle(self, phases: Any = ()) -> Any:
        return {"propose": fake_power(10.0, 1.0)}

    def unsettled(self) -> list[Any]:
        return []


class TestEnergy:
    def test_one_at_a_time_each_attempt_has_its_joules(self, tmp_path: Path) -> None:
        ended = run_bench(tmp_path / "run", meter=CountingMeter())
        run, _ = result(tmp_path / "run")
        assert [g.trial.energy_j for g in run.trials.values()] == [10.0] * 6
        assert ended.power is not None
        assert ended.power.energy_j == 60.0

    def test_shared_joules_are_not_divided(self, tmp_path: Path) -> None:
        ended = run_bench(tmp_path / "run", meter=CountingMeter(), parallel=2)
        run, _ = result(tmp_path / "run")
        assert [g.trial.energy_j for g in run.trials.values()] == [None] * 6
        assert ended.power is not None
        assert ended.power.energy_j is not None
