"""The proposer of each setting, with and without an LLM server, and the server's key."""

from __future__ import annotations

import gc
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from autoresearch.cli import main
from autoresearch.config.settings import Settings
from autoresearch.core.ports import Proposer
from autoresearch.core.records import Evaluated, Event, IterationRecord, Proposed, Started
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon import service
from autoresearch.daemon.cost_check import judge
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import ConfigError, MissingPackage
from autoresearch.llm.server import LlmServer
from autoresearch.proposers.factory import LLM_PROPOSERS, PROPOSERS, ProposerContext, budget_left, open_proposer
from autoresearch.proposers.hybrid import HybridProposer
from autoresearch.proposers.llm import LlmProposer
from autoresearch.proposers.random import RandomProposer
from autoresearch.proposers.replay import ExchangeReplay, Recording, ReplayProposer
from autoresearch.proposers.space import Space
from autoresearch.proposers.tpe import TpeProposer
from autoresearch.proposers.trust_region import TrustRegionProposer
from autoresearch.report import load_records
from autoresearch.storage.exchange_log import read_exchanges
from autoresearch.storage.run_dir import ARCHIVE, REPORT
from autoresearch.testing.fake_backend import YARDSTICK, fake_backend
from autoresearch.testing.fake_loop import fake_loop
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver
from tests.fake_llm import FakeLlm, Wire, answers, refusing, reset, says

KEY = "sk-local/0123456789abcdef+Zz"
ASKS_LLM = sorted(LLM_PROPOSERS)
REQUIRES_TPE = [name for name, spec in PROPOSERS.items() if "optuna" in spec.packages]


class Model:
    """Has a new learning rate each time, in the format that it is asked for."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)

    def __call__(self, wire: Wire) -> None:
        change = {"knob": "lr", "new_value": 1e-3 + 1e-5 * next(self.numbers), "reason": "why not"}
        says(json.dumps({"proposals": [change]}))(wire)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith("AUTORESEARCH_") or n == "CREDENTIALS_DIRECTORY"]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    """Sockets, event loops and logs are given back with the proposer; what is left to the collector is an error."""
    before = len(os.listdir("/proc/self/fd"))
    yield
    if len(os.listdir("/proc/self/fd")) != before:  # collecting takes a second in a process of many tests
        gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def server() -> Iterator[FakeLlm]:
    with FakeLlm(Model()) as server:
        yield server


@dataclass
class Found:
    """A proposer, and the notifications while it was built and after."""

    proposer: Any
    messages: list[str] = field(default_factory=list)

    @property
    def llm(self) -> LlmServer:
        nim = self.proposer.llm if isinstance(self.proposer, HybridProposer) else self.proposer
        assert isinstance(nim, LlmProposer)
        assert isinstance(nim.llm, LlmServer)
        return nim.llm


MakeProposer = Callable[..., AbstractContextManager[Found]]


@pytest.fixture
def made(tmp_path: Path) -> MakeProposer:
    """The proposer of these settings, as a run would have it."""

    @contextmanager
    def make(
        settings: Settings, recording: Recording = (), requested: Callable[[], bool] = lambda: False
    ) -> Iterator[Any]:
        policy, messages = build_policy(settings), []
        context = ProposerContext(
            space=Space(policy.menu, policy.baseline, policy.steps),
            judge=partial(judge, policy, TrialBackend(FakeTrial(), YARDSTICK, None), settings),
            run_dir=tmp_path,
            stop_or_pause_requested=requested,
            notify=messages.append,
            utc=lambda: "2026-11-21T22:00:00.000Z",
        )
        with open_proposer(settings, context, recording) as proposer:
            yield Found(proposer, messages)

    return make


@pytest.fixture
def with_server(make_settings, server: FakeLlm) -> Callable[..., Settings]:
    """Settings whose LLM server answers, unless overridden."""
    return lambda proposer, **changes: make_settings(
        {"llm.base_url": server.base_url, "llm.deadline_s": 5.0, **changes}, proposer=proposer
    )


@pytest.fixture
def without_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.startswith("autoresearch.llm.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openai", None)


@pytest.fixture
def without_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "autoresearch.proposers.tpe")
    monkeypatch.setitem(sys.modules, "optuna", None)


def sources(settings: Settings, proposer: Proposer, iters: int = 7) -> list[str]:
    """Who proposed what was tried in a run of the real loop."""
    loop = fake_loop(settings.model_copy(update={"iters": iters}), proposer)
    assert loop.run() == "complete"
    assert all(isinstance(r, Evaluated) for r in loop.trajectory.iterations)
    return [r.source for r in loop.trajectory.iterations]


class TestEverySetting:
    @pytest.mark.parametrize(
        ("setting", "kind"), [("random", RandomProposer), ("tpe", TpeProposer), ("trust-region", TrustRegionProposer)]
    )
    def test_without_a_server(self, make_settings, made: MakeProposer, setting: str, kind: type) -> None:
        with made(make_settings(proposer=setting)) as found:
            assert isinstance(found.proposer, kind)
            assert found.proposer.name == setting
            assert found.messages == []

    def test_replay_of_a_trajectory_and_of_exchanges(self, make_settings, made: MakeProposer) -> None:
        settings = make_settings(proposer="replay")
        with made(settings, (("raw",),)) as found:
            assert isinstance(found.proposer, ReplayProposer)
        with made(settings, {1: (("raw",),)}) as found:
            assert isinstance(found.proposer, ExchangeReplay)
            assert isinstance(found.proposer.fallback, TrustRegionProposer)

    @pytest.mark.parametrize(
        ("setting", "kind", "name"),
        [("nim", LlmProposer, "nim"), ("hybrid", HybridProposer, "hybrid"), ("auto", HybridProposer, "hybrid")],
    )
    def test_with_a_server_that_answers(self, with_server, made: MakeProposer, setting, kind, name) -> None:
        settings = with_server(setting)
        with made(settings) as found:
            assert isinstance(found.proposer, kind)
            assert found.proposer.name == name
            (message,) = found.messages
            assert message == (
                f"LLM server {settings.llm.base_url}: fake-model, 8192 tokens of context, it enforces a schema"
            )
            proposed_by = sources(settings, found.proposer)
            assert proposed_by == (
                ["nim"] * 7 if setting == "nim" else [*["trust-region"] * 3, "nim", *["trust-region"] * 3]
            )
            assert found.messages == [message], "notified once"

    @pytest.mark.parametrize(("setting", "name"), [("nim", "nim"), ("hybrid", "hybrid"), ("auto", "trust-region")])
    def test_without_a_server_the_user_is_notified_and_the_optimizer_proposes(
        self, with_server, made: MakeProposer, setting: str, name: str
    ) -> None:
        with refusing() as url:
            settings = with_server(setting, **{"llm.base_url": url, "llm.deadline_s": 0.5})
            with made(settings) as found:
                assert found.proposer.name == name
                (message,) = found.messages
                assert message.startswith(f"NO LLM SERVER at {url} (unreachable: ")
                assert "trust-region proposes until it answers" in message
                assert sources(settings, found.proposer) == ["trust-region"] * 7
                assert sum("NO LLM SERVER" in message for message in found.messages) == 1

    def test_the_optimizer_and_the_model_of_a_hybrid_see_each_other(self, with_server, made: MakeProposer) -> None:
        with made(with_server("hybrid", **{"llm.share": 0.5, "seed": 7})) as found:
            optimizer, nim = found.proposer.optimizer, found.proposer.llm
            assert nim.fallback is optimizer
            assert nim.beliefs == optimizer.beliefs
            assert isinstance(optimizer, TrustRegionProposer)
            assert optimizer.hides_failures_of == nim.name
            assert found.proposer.share == 0.5

    def test_what_is_set_of_the_llm_arrives_there(self, with_server, server: FakeLlm, made: MakeProposer) -> None:
        server.models = ["small", "large"]
        changes = {"llm.model": "large", "llm.temperature": 0.25, "llm.max_tokens": 300, "llm.system": "/no_think"}
        with made(with_server("nim", **changes, **{"llm.proposals": 2, "llm.rounds": 1})) as found:
            found.proposer.propose(fake_loop(with_server("nim"), found.proposer).trajectory, [])
            assert (found.proposer.proposals, found.proposer.rounds) == (2, 1)
        (chat,) = server.chats
        assert (chat.body["model"], chat.body["temperature"], chat.body["max_tokens"]) == ("large", 0.25, 300)
        assert chat.body["messages"][0] == {"role": "system", "content": "/no_think"}


class TestAuto:
    def test_a_server_that_appears_later_is_used(self, with_server, server: FakeLlm, made: MakeProposer) -> None:
        """At 22:00 the model is still loading. Discovery is repeated in the LLM's iterations, with cooldowns."""
        server.on_models = reset()
        settings = with_server("auto", **{"llm.share": 0.5})
        with made(settings) as found:
            now = [1000.0]
            found.llm.breaker.clock = lambda: now[0]
            assert found.proposer.name == "trust-region"
            loop = fake_loop(settings.model_copy(update={"iters": 8}), found.proposer)
            assert loop.run() == "complete"
            looked = len(server.requests)
            assert looked == 3, "once at the beginning and in iterations 2 and 4; then the breaker is open"
            assert "not asked for 60 s" in found.messages[-1]

            server.on_models, now[0] = None, now[0] + 61
            loop.iters = 12
            assert loop.run() == "complete"
            assert [r.source for r in loop.trajectory.iterations] == ["trust-region"] * 9 + [
                "nim",
                "trust-region",
                "nim",
            ]
            assert sum("NO LLM SERVER" in message for message in found.messages) == 1

    def test_a_server_that_only_fails_counts_as_missing(self, with_server, server: FakeLlm, made: MakeProposer) -> None:
        server.on_models = answers({"detail": "loading"}, status=503)
        with made(with_server("auto")) as found:
            assert found.proposer.name == "trust-region"
            assert "NO LLM SERVER" in found.messages[0]
            assert "server_error: HTTP 503" in found.messages[0]

    def test_a_server_without_the_model_counts_as_missing(self, with_server, made: MakeProposer) -> None:
        with made(with_server("auto", **{"llm.model": "other"})) as found:
            assert found.proposer.name == "trust-region"
            assert "model_gone: no model other; the server has: fake-model" in found.messages[0]

    def test_without_the_package_the_optimizer_proposes_and_the_user_is_notified(
        self, with_server, server: FakeLlm, made: MakeProposer, without_openai
    ) -> None:
        with made(with_server("auto")) as found:
            assert isinstance(found.proposer, TrustRegionProposer)
            (message,) = found.messages
            assert "needs the package openai: trust-region proposes alone" in message
            assert "autoresearch[run]" in message
        assert server.requests == []

    def test_with_a_pause_or_a_stop_at_the_beginning_the_server_is_not_called_missing(
        self, with_server, server: FakeLlm, made: MakeProposer
    ) -> None:
        """The machine was booted with pause.flag there: the server is discovered when the run resumes."""
        wanted = [True]
        settings = with_server("auto")
        with made(settings, requested=lambda: bool(wanted)) as found:
            (message,) = found.messages
            assert message.startswith(f"LLM server {server.base_url}: not asked yet")
            wanted.clear()
            assert sources(settings, found.proposer, iters=4)[-1] == "nim"


class TestRefused:
    @pytest.mark.parametrize("setting", ["nim", "hybrid"])
    def test_an_llm_without_its_package_is_69(self, with_server, made: MakeProposer, without_openai, setting) -> None:
        with pytest.raises(MissingPackage, match="openai") as refusal, made(with_server(setting)):
            pass
        assert refusal.value.exit_code == 69
        assert "autoresearch[run]" in refusal.value.hint

    @pytest.mark.parametrize("setting", REQUIRES_TPE)
    def test_tpe_without_its_package_is_69(self, with_server, made: MakeProposer, without_optuna, setting) -> None:
        with pytest.raises(MissingPackage, match="optuna") as refusal, made(with_server(setting)):
            pass
        assert "autoresearch[run]" in refusal.value.hint

    @pytest.mark.parametrize("setting", ASKS_LLM)
    def test_an_llm_needs_no_optuna(self, with_server, made: MakeProposer, without_optuna, setting: str) -> None:
        with made(with_server(setting)) as found:
            assert found.proposer.name == ("nim" if setting == "nim" else "hybrid")

    @pytest.mark.parametrize("setting", ASKS_LLM)
    @pytest.mark.parametrize("attempts", [2, 3])
    def test_rounds_that_leave_no_reply_to_the_fallback_are_78(self, with_server, made, setting, attempts) -> None:
        changes = {"llm.rounds": 3, "limits.max_attempts": attempts}
        words = rf"llm\.rounds = 3 .* limits\.max_attempts = {attempts}"
        with pytest.raises(ConfigError, match=words) as refusal, made(with_server(setting, **changes)):
            pass
        assert refusal.value.hint
        with made(with_server(setting, **changes | {"limits.max_attempts": 4})):
            pass

    @pytest.mark.parametrize("setting", ASKS_LLM)
    def test_a_key_that_no_header_can_carry_is_78_and_not_shown(
        self, with_server, server: FakeLlm, made: MakeProposer, monkeypatch, setting
    ) -> None:
        monkeypatch.setenv("AUTORESEARCH_LLM_KEY", "geheim\nund mehr")
        with pytest.raises(ConfigError, match="AUTORESEARCH_LLM_KEY") as refusal, made(with_server(setting)):
            pass
        assert "geheim" not in str(refusal.value)
        assert server.requests == []


class TestKey:
    @pytest.fixture(params=["environment", "systemd"])
    def key(self, request, monkeypatch, tmp_path: Path) -> str:
        if request.param == "environment":
            monkeypatch.setenv("AUTORESEARCH_LLM_KEY", KEY)
        else:
            credentials = tmp_path / "credentials"
            credentials.mkdir()
            (credentials / "llm-key").write_text(f"{KEY}\n")
            monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
        return KEY

    def test_it_is_sent_with_every_request_and_written_nowhere(
        self, with_server, make_settings, server: FakeLlm, key: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        server.script[:] = [says(f"Who is {key}?"), answers({"error": f"wrong key {key}"}, status=401), Model()]
        settings, observer = with_server("auto", **{"llm.share": 1}), RecordingObserver()
        assert service.run(settings, observer, make_backend=fake_backend) == "complete"
        assert {r.headers.get("authorization") for r in server.requests} == {f"Bearer {key}"}
        assert len(server.requests) > 5
        assert len(read_exchanges(settings.run_dir)) >= 3
        written = b"\n".join(p.read_bytes() for p in settings.run_dir.rglob("*") if p.is_file())
        notified = "\n".join(observer.messages)
        capsys.readouterr()
        flags = ["--dir", str(settings.run_dir), "--base-url", server.base_url]
        for command in (["config", *flags], ["config", "--json", *flags], ["status", str(settings.run_dir)]):
            assert main(command) == 0
        shown = capsys.readouterr()
        for text in (written.decode(), notified, shown.out, shown.err):
            assert key not in text
            assert key[:12] not in text
            assert json.dumps(key)[1:-1] not in text

    def test_without_one_a_server_that_wants_none_is_asked(self, with_server, server: FakeLlm, made) -> None:
        with made(with_server("nim")) as found:
            assert "LLM server" in found.messages[0]
        assert {r.headers.get("authorization") for r in server.requests} == {"Bearer none"}

    def test_the_key_of_another_server_is_not_sent(self, with_server, server: FakeLlm, made, monkeypatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        with made(with_server("nim")):
            pass
        assert KEY not in str([r.headers for r in server.requests])


class TestInARun:
    """Through the service: the proposer in the records."""

    def test_started_names_the_proposer_that_was_found(self, with_server) -> None:
        assert service.run(with_server("auto"), RecordingObserver(), make_backend=fake_backend) == "complete"
        (started,) = [r for r in load_records(with_server("auto").run_dir) if isinstance(r, Started)]
        assert started.proposer == "hybrid"

    def test_a_run_continues_with_another_proposer(self, with_server) -> None:
        """The proposer is not part of the yardstick: each record names the source of its candidate."""
        for iters, proposer in enumerate(("random", "nim", "tpe", "auto"), 1):
            settings = with_server(proposer, **{"llm.share": 1}).model_copy(update={"iters": iters})
            assert service.run(settings, RecordingObserver(), make_backend=fake_backend) == "complete"
        found = load_records(settings.run_dir)
        assert [r.source for r in found if isinstance(r, IterationRecord)] == ["random", "nim", "tpe", "nim"]
        assert [r.proposer for r in found if isinstance(r, Started)] == ["random", "nim", "tpe", "hybrid"]
        calls = [call for r in found if isinstance(r, IterationRecord) for call in r.llm_calls]
        assert [call.exchange for call in calls] == [e.exchange for e in read_exchanges(settings.run_dir)] == [1, 2]

    def test_a_stop_ends_it_in_good_order_and_with_a_report(self, with_server) -> None:
        """The server is closed while the stop is still requested: closing neither waits nor raises."""

        class Terminates(RecordingObserver):
            def recorded(self, event: Event) -> None:
                if isinstance(event, Evaluated):
                    os.kill(os.getpid(), signal.SIGTERM)

        settings = with_server("nim", reports=["text"])
        assert service.run(settings, Terminates(), make_backend=fake_backend) == "SIGTERM"
        assert load_records(settings.run_dir)[-1].stage == "stopped"
        assert (settings.run_dir / REPORT).exists()

    def test_fresh_moves_the_exchanges_aside_and_counts_from_one(self, with_server) -> None:
        settings = with_server("nim")
        for _ in range(2):
            assert service.run(settings, RecordingObserver(), fresh=True, make_backend=fake_backend) == "complete"
        (archived,) = (settings.run_dir / ARCHIVE).iterdir()
        for place in (archived, settings.run_dir):
            assert [e.exchange for e in read_exchanges(place)] == [1, 2, 3]
            assert len([r for r in load_records(place) if isinstance(r, IterationRecord)]) == 3

    @pytest.mark.parametrize("setting", sorted({*PROPOSERS} - LLM_PROPOSERS - {"replay"}))
    def test_a_proposer_without_an_llm_makes_no_log_of_exchanges(self, make_settings, setting: str) -> None:
        settings = make_settings(proposer=setting, iters=1)
        service.run(settings, RecordingObserver(), make_backend=fake_backend)
        assert not list(settings.run_dir.glob("exchanges*"))


def test_the_prompts_budget_counts_the_open_iterations_of_a_parallel_run_as_used(make_settings) -> None:
    run = Trajectory(parallel=True, highest_iter=6, proposals={4: Proposed.model_construct(iter=4)})
    assert run.next_iter == 4
    assert budget_left(make_settings(iters=10), run) == "4 of 10 iterations"
