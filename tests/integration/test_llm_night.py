"""A night with a real LLM server, llama.cpp, on a tiny model with random weights, on the CPU.

What such a model says is babble in the shape of the schema. That is the point: the loop must make the best of it, and
go on when the server is killed, comes back, or has another model.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.llm_calls import ANSWERED, LLM_SOURCE, Classification
from autoresearch.core.records import Evaluated, Event, IterationRecord
from autoresearch.daemon.service import run
from autoresearch.report import load_records
from autoresearch.storage.exchange_log import read_exchanges
from autoresearch.testing.fake_backend import fake_backend
from autoresearch.testing.recording_observer import RecordingObserver
from tests import tiny_llm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(tiny_llm.missing()), reason=tiny_llm.missing() or "it is there"),
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tiny_llm.TinyServer]:
    model = tiny_llm.write_model(tmp_path / "one.gguf", seed=1, name="tiny-one")
    with tiny_llm.TinyServer(model, tmp_path / "llm.log", alias="tiny-one", n_ctx=8192) as server:
        yield server


@pytest.fixture
def night(tmp_path: Path, server: tiny_llm.TinyServer, make_settings) -> Callable[..., Settings]:
    def settings(**changes: Any) -> Settings:
        given = {"proposer": "nim", "llm.base_url": server.base_url, "llm.deadline_s": 20.0, **changes}
        return make_settings(given)

    return settings


def closed(settings: Settings) -> list[Any]:
    return [r for r in load_records(settings.run_dir) if isinstance(r, IterationRecord)]


def test_five_iterations_of_the_real_loop(night, small_corpus: Path, quick_trials: dict[str, Any]) -> None:
    settings = night(iters=5, corpus=str(small_corpus), **quick_trials)
    observer = RecordingObserver()
    assert run(settings, observer) == "complete"
    records, exchanges = closed(settings), read_exchanges(settings.run_dir)
    assert [r.iter for r in records] == [1, 2, 3, 4, 5]
    assert all(isinstance(r, Evaluated) for r in records), [r.stage for r in records]
    assert all(e.classification in ANSWERED for e in exchanges), [(e.classification, e.detail) for e in exchanges]
    assert all(e.structured and e.prompt_tokens and e.completion_tokens for e in exchanges)
    assert any("enforces a schema" in message for message in observer.messages)
    assert {call.exchange for r in records for call in r.llm_calls} == {e.exchange for e in exchanges}
    assert len({(r.proposal.knob, r.proposal.new_value) for r in records}) == 5


class Between(RecordingObserver):
    """Does something to the server when an iteration is closed."""

    def __init__(self, deeds: dict[int, Callable[[], object]]) -> None:
        super().__init__()
        self.deeds = deeds

    def recorded(self, event: Event) -> None:
        super().recorded(event)
        if isinstance(event, IterationRecord) and (deed := self.deeds.pop(event.iter, None)):
            deed()


def test_killed_restarted_and_with_another_model_the_night_continues(
    night, server: tiny_llm.TinyServer, tmp_path: Path
) -> None:
    other = tiny_llm.write_model(tmp_path / "two.gguf", seed=2, name="tiny-two")
    deeds = {2: server.kill, 3: server.start, 4: lambda: server.swap(other, "tiny-two")}
    settings, observer = night(iters=6), Between(deeds)
    assert run(settings, observer, make_backend=fake_backend) == "complete"
    calls = {r.iter: r.llm_calls for r in closed(settings)}
    assert calls[3][0].classification is Classification.UNREACHABLE
    assert next(r for r in closed(settings) if r.iter == 3).source == "trust-region"
    assert calls[4][0].classification in ANSWERED
    assert calls[5][0].model == "tiny-two"
    assert any("tiny-two in place of tiny-one" in message for message in observer.messages)


class KillingProxy:
    """Stands between the proposer and the server, hands everything on, and kills the server once it is asked to."""

    def __init__(self, server: tiny_llm.TinyServer) -> None:
        self.server = server
        self.kills_at_chat = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                with client, suppress(OSError):
                    self._hand_on(client)

    def _hand_on(self, client: socket.socket) -> None:
        request = client.recv(1 << 16)
        host, port = self.server.base_url.removeprefix("http://").removesuffix("/v1").split(":")
        with socket.create_connection((host, int(port)), timeout=20) as server:
            server.sendall(request)
            if self.kills_at_chat and b"/chat/completions" in request.split(b"\r\n", 1)[0]:
                self.kills_at_chat = False
                self.server.kill()
            client.setblocking(False)
            while True:
                ready, _, _ = select.select([server, client], [], [], 20)
                for end, other in ((server, client), (client, server)):
                    if end in ready:
                        data = end.recv(1 << 16)
                        if not data:
                            return
                        other.setblocking(True)
                        other.sendall(data)


def test_killed_in_the_middle_of_a_reply(night, server: tiny_llm.TinyServer) -> None:
    between = KillingProxy(server)
    try:
        settings = night(iters=3, **{"llm.base_url": between.base_url})

        class Arms(RecordingObserver):
            def recorded(self, event: Event) -> None:
                super().recorded(event)
                if isinstance(event, IterationRecord) and event.iter == 1:
                    between.kills_at_chat = True

        assert run(settings, Arms(), make_backend=fake_backend) == "complete"
    finally:
        between.close()
    second = next(r for r in closed(settings) if r.iter == 2)
    assert second.llm_calls[-1].classification is Classification.UNREACHABLE
    assert second.source == "trust-region"


def test_the_night_can_be_run_again_without_the_server(night, server: tiny_llm.TinyServer, tmp_path: Path) -> None:
    from autoresearch.daemon.recording import read_recording

    settings = night(iters=5, proposer="hybrid", **{"llm.share": 0.5})
    assert run(settings, RecordingObserver(), make_backend=fake_backend) == "complete"
    server.stop()
    exchanges = settings.run_dir / "exchanges.jsonl"
    again = settings.model_copy(update={"proposer": "replay", "dir": tmp_path / "again", "replay_from": exchanges})
    assert run(again, RecordingObserver(), replies=read_recording(exchanges), make_backend=fake_backend) == "complete"
    first, second = closed(settings), closed(again)
    assert [r.candidate_cfg for r in first] == [r.candidate_cfg for r in second]
    assert {r.source for r in second} <= {"replay", "trust-region"}
    assert LLM_SOURCE not in {r.source for r in second}
