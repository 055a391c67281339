"""A whole bench run before a real socket: which server ends it how, and that the next start completes it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.chat import Sampling
from autoresearch.benches.engine import Engine
from autoresearch.benches.patience import Patience
from autoresearch.benches.records import Ended
from autoresearch.benches.run_directory import open_directory
from autoresearch.benches.server import BenchServer, find_server
from autoresearch.errors import BenchIncomplete, ConfigError, YardstickMismatch
from autoresearch.testing.fake_suite import FakeSuite
from tests.engine_world import CASES, FakeControl, Seen, meta_of, oracle, result
from tests.fake_llm import (
    Behaviour,
    FakeLlm,
    Wire,
    answers,
    completion,
    endless,
    head,
    refusing,
    reset,
    says,
    says_no,
    sends,
    silence,
)

KEY = "sk-local/0123456789abcdef+Zz"


def knows(wire: Wire) -> None:
    says(oracle(wire.request.body["messages"]))(wire)


def find(server: FakeLlm, **more: Any) -> BenchServer:
    return find_server(server.base_url, KEY, Sampling(), **{"deadline_s": 5.0, "backoff_s": 0.001, **more})


def bench(path: Path, server: BenchServer, seen: Seen | None = None, parallel: int = 2) -> Ended:
    """Begin or continue the run; without patience, so that a failing server ends it at once."""
    control = FakeControl()
    with open_directory(path) as directory:
        directory.begin(meta_of(FakeSuite(), CASES), CASES)
        patience = Patience(0, control.clock)
        observer = seen or Seen()
        return Engine(
            FakeSuite(), CASES, directory, control, server.open_chat, parallel, observer, patience=patience
        ).run()


def test_a_good_server_gives_a_complete_run(tmp_path: Path) -> None:
    with FakeLlm(knows) as server:
        assert bench(tmp_path / "run", find(server)).reason == "complete"
    run, figures = result(tmp_path / "run")
    assert figures["right"] == 6
    assert {g.trial.tokens_in for g in run.trials.values()} == {3000}


STORMS: dict[str, tuple[Behaviour, str]] = {
    "500": (says_no(500, "oops"), "server_error"),
    "503": (says_no(503, "busy"), "server_error"),
    "429": (says_no(429, "slow down", retry_after="0"), "rate_limited"),
    "HTML with 200": (sends(b"<html>It works!</html>", content_type="text/html"), "malformed_response"),
    "a reset": (reset(), "unreachable"),
    "401": (says_no(401, "wrong key"), "request_rejected"),
    "a slow drip": (endless(b" ", 0.05, head(200, {"content-length": "99999"})), "timeout"),
    "silence": (silence(), "timeout"),
    "an error with 200": (answers({"error": {"message": "CUDA error: out of memory"}}), "server_error"),
}


@pytest.mark.parametrize("name", list(STORMS))
def test_a_storm_makes_the_run_incomplete_and_the_next_start_completes_it(tmp_path: Path, name: str) -> None:
    storm, cause = STORMS[name]
    seen = Seen()
    with FakeLlm(knows) as server:
        found = find(server, deadline_s=0.3 if cause == "timeout" else 5.0)
        server.script[:] = [knows, storm]
        ended = bench(tmp_path / "run", found, seen)
        assert ended.reason == "incomplete"
        assert cause in ended.detail
        assert {failed.cause for failed in seen.failures} == {cause}
        assert len(result(tmp_path / "run")[0].trials) == 1
        assert KEY not in (tmp_path / "run/trials.jsonl").read_text()
        server.script[:] = [knows]
        assert bench(tmp_path / "run", find(server)).reason == "complete"
    assert result(tmp_path / "run")[1]["right"] == 6


def test_a_server_killed_and_restarted_midway_loses_nothing(tmp_path: Path) -> None:
    """The second server has another port, as after a restart by hand: the address is not a condition of the run."""
    with FakeLlm(knows, knows, reset()) as server:
        assert bench(tmp_path / "run", find(server), parallel=1).reason == "incomplete"
    with FakeLlm(knows) as server:
        assert bench(tmp_path / "run", find(server)).reason == "complete"
        assert len(server.chats) == 4
    assert result(tmp_path / "run")[1]["right"] == 6


def test_one_that_is_away_for_a_moment_is_not_noticed(tmp_path: Path) -> None:
    seen = Seen()
    with FakeLlm(knows, says_no(503, "loading model"), reset(), knows) as server:
        assert bench(tmp_path / "run", find(server), seen, parallel=1).reason == "complete"
    assert seen.failures == []


def test_a_server_with_another_model_ends_the_run(tmp_path: Path) -> None:
    def swap(wire: Wire) -> None:
        server.models = ["another-model"]
        reset()(wire)

    with FakeLlm(knows, swap) as server:
        found = find(server)
        with pytest.raises(YardstickMismatch, match="asks fake-model; the server now has another-model") as refused:
            bench(tmp_path / "run", found, parallel=1)
        assert "another --dir" in refused.value.hint
        with pytest.raises(YardstickMismatch, match="another-model"):
            find(server, recorded="fake-model")
        server.models, server.script[:] = ["fake-model"], [knows]
        assert bench(tmp_path / "run", find(server, recorded="fake-model")).reason == "complete"


def test_garbage_in_tool_calls_is_an_answer_of_the_model(tmp_path: Path) -> None:
    with FakeLlm(says(None, tool_calls=[{"function": 7}, "x"])) as server:
        assert bench(tmp_path / "run", find(server)).reason == "complete"
    run, figures = result(tmp_path / "run")
    assert figures["right"] == 0
    assert all(json.dumps({"function": 7}) in (g.trial.answer or "") for g in run.trials.values())


def test_an_overflow_is_a_result_and_not_a_failure(tmp_path: Path) -> None:
    message = "This model's maximum context length is 10 tokens, and 9000 in the messages"
    with FakeLlm(knows) as server:
        found = find(server)
        server.script[:] = [says_no(400, message)]
        assert bench(tmp_path / "run", found).reason == "complete"
    assert {g.trial.status for g in result(tmp_path / "run")[0].trials.values()} == {"context_length_exceeded"}


def test_one_case_whose_request_is_rejected_does_not_end_the_others(tmp_path: Path) -> None:
    def reject_a(wire: Wire) -> None:
        is_a = oracle(wire.request.body["messages"]) == "a"
        (says_no(400, "the template fails on this one") if is_a else knows)(wire)

    seen = Seen()
    with FakeLlm(reject_a) as server:
        ended = bench(tmp_path / "run", find(server), seen, parallel=1)
    assert ended.reason == "incomplete"
    assert result(tmp_path / "run")[0].missing == (("a", 0), ("a", 1))
    assert "the template fails" in seen.failures[0].detail


class TestFindingTheServer:
    def test_its_model_context_and_parameters(self) -> None:
        with FakeLlm(knows, models=("m-embed", "chat-model"), max_model_len=512) as server:
            messages: list[str] = []
            found = find(server, notify=messages.append)
            assert (found.model.name, found.model.max_model_len) == ("chat-model", 512)
            assert "m-embed" in messages[0]
            assert found.refused == ()

    def test_a_parameter_that_it_refuses_is_known_before_the_first_attempt(self) -> None:
        def refuse(wire: Wire) -> None:
            known = "seed" not in wire.request.body and "temperature" not in wire.request.body
            name = "seed" if "seed" in wire.request.body else "temperature"
            (says("hello") if known else says_no(400, f"Unsupported parameter: {name}"))(wire)

        messages: list[str] = []
        with FakeLlm(refuse, on_probe=refuse) as server:
            found = find_server(server.base_url, None, Sampling(seed=3), backoff_s=0.001, notify=messages.append)
            assert found.refused == ("temperature", "seed")
            assert len(messages) == 1
            chat = found.open_chat(lambda: False, messages.append)
            chat.begin(0)
            chat.complete([{"role": "user", "content": "x"}])
            chat.close()
            assert len(server.chats) == 1

    def test_how_it_marks_its_thinking(self) -> None:
        with FakeLlm(knows, on_probe=says("hm</think>hello")) as server:
            assert find(server).think_style == "closing tag"

    def test_nobody_listens(self) -> None:
        with refusing() as url, pytest.raises(BenchIncomplete, match="does not answer") as failed:
            find_server(url, None, Sampling(), backoff_s=0.001)
        assert url in failed.value.what

    @pytest.mark.parametrize(
        ("probe", "error"),
        [
            (says_no(401, "no key"), ConfigError),
            (says_no(404, "not found"), ConfigError),
            (says_no(500, "oops"), BenchIncomplete),
            (sends(b"<html>"), BenchIncomplete),
            (answers(completion(None)), BenchIncomplete),
        ],
    )
    def test_one_that_does_not_chat(self, probe: Behaviour, error: type[Exception]) -> None:
        with FakeLlm(knows, on_probe=probe) as server, pytest.raises(error):
            find(server)

    def test_a_model_that_it_lacks(self) -> None:
        with FakeLlm(knows) as server, pytest.raises(ConfigError, match="no model other; the server has: fake-model"):
            find(server, wanted="other")

    def test_one_without_models(self) -> None:
        with FakeLlm(knows, models=()) as server, pytest.raises(ConfigError, match="lists no model"):
            find(server)

    def test_one_that_lists_only_embedders(self) -> None:
        with FakeLlm(knows, models=("nomic-embed-text",)) as server, pytest.raises(ConfigError, match="chat model"):
            find(server)


def test_every_thread_has_its_own_event_loop(tmp_path: Path) -> None:
    """More threads than cores ask at once, none of them the main thread."""
    together = threading.Barrier(6, timeout=20)

    def meet(wire: Wire) -> None:
        together.wait()
        knows(wire)

    with FakeLlm(meet) as server:
        assert bench(tmp_path / "run", find(server), parallel=6).reason == "complete"
