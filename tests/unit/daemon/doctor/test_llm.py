"""The LLM server before the night: three real proposals, or why there are none. The run would go on without it."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from autoresearch.config.settings import Settings
from autoresearch.daemon.doctor import Check, examine
from tests.fake_llm import Behaviour, FakeLlm, Wire, answers, completion, refusing, reset, says, silence
from tests.unit.daemon.doctor.conftest import Examined

KEY = "sk-local/0123456789abcdef+Zz"


def proposes(*values: float) -> Behaviour:
    """Learning rates, one after the other, again and again."""
    numbers = itertools.cycle(values)

    def say(wire: Wire) -> None:
        change = {"knob": "lr", "new_value": next(numbers), "reason": "a hunch"}
        says(json.dumps({"proposals": [change]}))(wire)

    return say


@pytest.fixture
def server() -> Iterator[FakeLlm]:
    with FakeLlm(proposes(1e-3, 1.1e-3, 1.2e-3)) as server:
        yield server


PATIENCE_S = 60.0  # of a busy machine; the servers that are silent here stay so
Look = Callable[..., Check]


@pytest.fixture
def poll(examined: Examined, make_settings, server: FakeLlm) -> Look:
    """What the examination finds of the server, which it never waits for as long as the server would let it."""

    def check(changes: dict[str, object] | None = None, *, proposer: str = "auto") -> Check:
        given = {"llm.base_url": server.base_url, "corpus": "stdlib", **(changes or {})}
        settings: Settings = make_settings(given, proposer=proposer)
        began = time.monotonic()
        found = examined(settings)["LLM server"]
        assert time.monotonic() - began < PATIENCE_S
        assert not settings.run_dir.exists(), "nothing is left behind"
        return found

    return check


class TestAServerThatAnswers:
    @pytest.mark.parametrize("proposer", ["auto", "hybrid", "nim"])
    def test_three_proposals_are_made_and_judged(self, poll: Look, server: FakeLlm, proposer: str) -> None:
        check = poll(proposer=proposer)
        assert check.state == "ok"
        facts = check.facts
        assert (facts["base_url"], facts["model"], facts["max_model_len"]) == (server.base_url, "fake-model", 8192)
        assert (facts["structured"], facts["think_style"]) == ("enforced", "none")
        assert facts["classifications"] == {"ok": 3}
        assert facts["tokens_per_s"] > 0
        assert 0 < facts["latency_median_s"] < 20
        assert len(server.chats) == 3
        assert "3 replies" in check.found
        assert "ok 3" in check.found

    def test_a_context_that_the_server_reports_is_a_fact(self, poll: Look, server: FakeLlm) -> None:
        check = poll()
        assert "8192 tokens of context" in check.found
        assert check.facts["context_reported"] is True

    def test_an_assumed_context_is_called_that(self, poll: Look, server: FakeLlm) -> None:
        server.max_model_len = None
        check = poll()
        assert "not reported, 8192 assumed" in check.found
        assert check.facts["context_reported"] is False

    def test_a_context_that_the_user_sets_is_not_assumed(self, poll: Look, server: FakeLlm) -> None:
        server.max_model_len = None
        assert "16384 tokens of context" in poll({"llm.max_model_len": 16384}).found

    def test_what_a_deadline_holds_at_the_measured_speed(self, poll: Look, server: FakeLlm) -> None:
        check = poll({"llm.deadline_s": 10})
        holds = check.facts["deadline_tokens"]
        assert holds == int(10 * check.facts["tokens_per_s"])
        assert f"llm.deadline_s = 10 holds {holds} tokens of a reply that may have 1024" in check.found

    def test_a_model_that_was_skipped_is_named(self, poll: Look, server: FakeLlm) -> None:
        server.models = ["nomic-embed-text", "fake-model"]
        assert "nomic-embed-text: not a chat model; fake-model is asked" in poll().found

    def test_it_is_asked_as_a_run_would_ask_it(self, poll: Look, server: FakeLlm) -> None:
        poll({"llm.proposals": 2, "llm.system": "/no_think", "iters": 12})
        for chat in server.chats:
            assert chat.schema["properties"]["proposals"]["maxItems"] == 2
            assert chat.body["messages"][0]["content"] == "/no_think"
            assert "12 of 12 iterations" in chat.prompt

    def test_one_good_proposal_is_enough(self, poll: Look, server: FakeLlm) -> None:
        server.script[:] = [says("I would rather not."), proposes(7.0), proposes(1e-3)]
        check = poll()
        assert check.state == "ok"
        assert check.facts["classifications"] == {"schema_invalid": 1, "rail_blocked": 1, "ok": 1}

    def test_how_it_thinks(self, poll: Look, server: FakeLlm) -> None:
        change = json.dumps({"proposals": [{"knob": "lr", "new_value": 1e-3, "reason": ""}]})
        server.script[:] = [says(f"<think>hm</think>{change}")]
        assert poll().facts["think_style"] != "none"

    def test_a_server_without_schemas(self, poll: Look, server: FakeLlm) -> None:
        server.schema = "ignored"
        check = poll()
        assert (check.state, check.facts["structured"]) == ("ok", "ignored")


class TestWhatAPersonShouldKnow:
    def test_a_server_that_cuts_the_prompt_off_without_a_word(self, poll: Look, server: FakeLlm) -> None:
        change = json.dumps({"knob": "lr", "new_value": 1e-3, "reason": "a hunch"})
        few = completion({"role": "assistant", "content": change}, usage={"prompt_tokens": 500, "completion_tokens": 9})
        server.script[:] = [answers(few)]
        check = poll()
        assert check.state == "warn"
        assert "num_ctx" in check.hint

    def test_thinking_without_an_end(self, poll: Look, server: FakeLlm) -> None:
        server.script[:] = [says("<think>on and on", "length")]
        check = poll()
        assert (check.state, check.facts["classifications"]) == ("warn", {"think_truncated": 3})
        assert "/no_think" in check.hint


class TestAServerThatIsOfNoUse:
    """It would run all the same, and the optimizer would propose."""

    def test_only_what_is_known_already(self, poll: Look, server: FakeLlm) -> None:
        server.script[:] = [proposes(2e-3)]  # the baseline's own
        check = poll()
        assert check.state == "warn"
        assert check.facts["classifications"] == {"duplicate": 3}
        assert "trust-region proposes" in check.hint

    def test_only_babble(self, poll: Look, server: FakeLlm) -> None:
        server.script[:] = [says("I would try a higher learning rate. \x1b[2J")]
        check = poll()
        assert (check.state, check.facts["classifications"]) == ("warn", {"schema_invalid": 3})

    def test_the_advice_quotes_the_cause(self, poll: Look, server: FakeLlm) -> None:
        server.script[:] = [answers({"error": "CUDA out of memory"})]
        check = poll({"llm.deadline_s": 1})
        assert check.state == "warn"
        assert '"CUDA out of memory": the server ran out of memory' in check.hint

    def test_a_server_without_a_model(self, poll: Look, server: FakeLlm) -> None:
        server.models = []
        check = poll()
        assert "the server lists no model" in check.found
        assert "load a model on the server" in check.hint

    def test_no_server(self, poll: Look) -> None:
        with refusing() as url:
            check = poll({"llm.base_url": url})
        assert check.state == "warn"
        assert "unreachable" in check.found
        assert url in check.found
        assert "--base-url" in check.hint

    def test_one_that_hangs_up(self, poll: Look, server: FakeLlm) -> None:
        server.on_models = reset()
        assert "unreachable" in poll().found

    def test_another_model_than_the_one_that_is_wanted(self, poll: Look, server: FakeLlm) -> None:
        check = poll({"llm.model": "other"})
        assert check.state == "warn"
        assert "model_gone" in check.found
        assert "fake-model" in check.found, "the names that there are"
        assert "--model" in check.hint

    def test_a_key_that_it_does_not_want(self, poll: Look, server: FakeLlm, monkeypatch) -> None:
        monkeypatch.setenv("AUTORESEARCH_LLM_KEY", KEY)
        server.on_models = answers({"error": f"wrong key {KEY}"}, status=401)
        check = poll()
        assert "request_rejected" in check.found
        assert "AUTORESEARCH_LLM_KEY" in check.hint
        assert KEY not in str(check)

    def test_something_else_that_speaks_http(self, poll: Look, server: FakeLlm) -> None:
        server.on_models = answers(["a", "list"])
        check = poll()
        assert (check.state, "malformed_response" in check.found) == ("warn", True)
        assert check.hint

    def test_a_list_of_models_that_never_comes(self, poll: Look, server: FakeLlm) -> None:
        server.on_models = silence()
        check = poll({"llm.deadline_s": 0.5})
        assert "timeout" in check.found
        assert "loading" in check.hint

    def test_answers_that_never_come(self, poll: Look, server: FakeLlm) -> None:
        server.script[:] = [silence()]
        check = poll({"llm.deadline_s": 0.5})
        assert (check.state, check.facts["classifications"]) == ("warn", {"timeout": 3})

    def test_a_slow_one_is_not_asked_three_times(self, make_settings, no_torch: None, server: FakeLlm) -> None:
        settings = make_settings({"llm.base_url": server.base_url, "corpus": "stdlib"}, proposer="auto")
        (check,) = (check for check in examine(settings, llm_max_s=0.0) if check.name == "LLM server")
        assert len(server.chats) == 1
        assert check.facts["classifications"] == {"ok": 1}


class TestWhatARunWouldRefuse:
    @pytest.mark.parametrize("proposer", ["auto", "hybrid", "nim"])
    def test_a_key_that_no_header_can_carry_is_78(self, poll: Look, server: FakeLlm, monkeypatch, proposer) -> None:
        monkeypatch.setenv("AUTORESEARCH_LLM_KEY", "geheim\nund mehr")
        check = poll(proposer=proposer)
        assert (check.state, check.exit_code) == ("fail", 78)
        assert "geheim" not in str(check)
        assert server.requests == []

    @pytest.mark.parametrize("proposer", ["auto", "hybrid", "nim"])
    def test_rounds_that_leave_no_reply_to_the_fallback_are_78(self, poll: Look, proposer: str) -> None:
        check = poll({"llm.rounds": 4, "limits.max_attempts": 4}, proposer=proposer)
        assert (check.state, check.exit_code) == ("fail", 78)

    @pytest.mark.parametrize(("proposer", "code"), [("auto", 0), ("hybrid", 69), ("nim", 69)])
    def test_without_the_package(self, poll: Look, server: FakeLlm, monkeypatch, proposer: str, code: int) -> None:
        for name in [n for n in sys.modules if n.startswith("autoresearch.llm.")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "openai", None)
        check = poll(proposer=proposer)
        assert check.state == ("fail" if code else "warn")
        assert check.exit_code == code
        assert "autoresearch[run]" in check.hint
        assert server.requests == []


@pytest.mark.parametrize("proposer", ["tpe", "random"])
def test_a_proposer_without_an_llm_calls_no_server(poll: Look, server: FakeLlm, proposer: str) -> None:
    check = poll(proposer=proposer)
    assert (check.state, check.found) == ("ok", f"not needed: proposer {proposer}")
    assert server.requests == []
