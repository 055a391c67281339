"""While the daemon waits for an LLM that never answers: stop, pause and SIGKILL take hold as they do in a trial.

The daemons are the real program on the real command line; the LLM is a fake, and so are most of the trials.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from autoresearch.core.llm_calls import Classification
from autoresearch.core.records import Baseline, IterationRecord, Paused, Stopped, decode
from autoresearch.storage.exchange_log import read_exchanges
from autoresearch.storage.journal import read
from autoresearch.storage.lock import is_locked
from autoresearch.storage.run_dir import EXCHANGES, LOCK, PAUSE_FLAG, REPORT, TRAJECTORY
from tests.fake_llm import FakeLlm, Wire, silence

PATIENCE_S = 120.0  # for what takes as long as it takes on a busy machine; a fifth of what the daemon would wait

WITHOUT_TRIALS = """if True:
    import sys
    from autoresearch.daemon import service
    from autoresearch.cli import main
    from autoresearch.testing.fake_backend import fake_backend

    service.real_backend = fake_backend
    sys.exit(main(sys.argv[1:]))
"""


@dataclass
class Mute:
    """Accepts a chat and never answers; each one lets ``asked`` go on once."""

    asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __call__(self, wire: Wire) -> None:
        self.asked.release()
        silence()(wire)


@dataclass
class Night:
    """A run directory, a mute LLM, and daemons that propose with it."""

    run_dir: Path
    mute: Mute
    server: FakeLlm
    words: list[str]
    daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def begin(self, deadline_s: float = 600.0, *, real_trials: bool = False) -> subprocess.Popen[bytes]:
        """A daemon; what it says goes to a file."""
        program = ["-m", "autoresearch"] if real_trials else ["-X", "dev", "-W", "error", "-c", WITHOUT_TRIALS]
        command = [sys.executable, *program, "run", *self.words, "--set", f"llm.deadline_s={deadline_s}"]
        with (self.run_dir.parent / "said").open("wb") as said:
            self.daemons.append(subprocess.Popen(command, stdout=said, stderr=said))
        return self.daemons[-1]

    def wait_until_it_asks(self) -> None:
        assert self.mute.asked.acquire(timeout=PATIENCE_S), self.messages

    @property
    def messages(self) -> str:
        return (self.run_dir.parent / "said").read_text()

    @property
    def records(self) -> list[Any]:
        return [decode(payload) for payload in read(self.run_dir / TRAJECTORY).payloads]

    def wait_for(self, is_there: Callable[[list[Any]], bool]) -> None:
        """Look into the log until it holds what it should."""
        end = time.monotonic() + PATIENCE_S
        while not is_there(self.records):
            assert time.monotonic() < end, self.messages
            time.sleep(0.02)

    def see_the_end(self) -> list[Any]:
        """Wait for the daemon to end well; what it left on record."""
        assert self.daemons[-1].wait(PATIENCE_S) == 0, self.messages
        assert not is_locked(self.run_dir / LOCK)
        assert "Traceback" not in self.messages
        assert "Warning" not in self.messages
        return self.records


@pytest.fixture
def night(tmp_path: Path, small_corpus: Path, quick_trials: dict[str, Any]) -> Iterator[Night]:
    mute = Mute()
    with FakeLlm(mute) as server:
        settings = {**quick_trials, "corpus": small_corpus, "llm.rounds": 1, "reports": '["text"]'}
        assignments = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        run_dir = tmp_path / "run"
        words = ["--dir", str(run_dir), "--iters", "2", "--proposer", "nim", "--base-url", server.base_url]
        night = Night(run_dir, mute, server, [*words, *assignments])
        try:
            yield night
        finally:
            for daemon in night.daemons:
                daemon.kill()
                daemon.wait()


@pytest.mark.parametrize(
    "signals",
    [
        [signal.SIGTERM],
        pytest.param([signal.SIGTERM, signal.SIGTERM], marks=pytest.mark.slow),
        pytest.param([signal.SIGINT], marks=pytest.mark.slow),
    ],
)
def test_a_stop_is_heard_at_once(night: Night, signals: list[signal.Signals]) -> None:
    """There is no trial to finish, so the first signal does all; a second one has nothing left to hurry."""
    daemon = night.begin()
    night.wait_until_it_asks()
    for number in signals:
        daemon.send_signal(number)
    night.wait_for(lambda records: isinstance(records[-1], Stopped))
    records = night.see_the_end()
    assert [r.stage for r in records[-2:]] == ["baseline", "stopped"], "no iteration was used up"
    assert records[-1].reason == signals[0].name
    assert (night.run_dir / REPORT).exists()


@pytest.mark.slow
def test_a_stop_is_heard_while_the_server_is_looked_for(night: Night) -> None:
    night.server.on_models = night.mute
    daemon = night.begin()
    night.wait_until_it_asks()
    daemon.send_signal(signal.SIGTERM)
    night.wait_for(lambda records: bool(records) and isinstance(records[-1], Stopped))
    assert [r.stage for r in night.see_the_end()] == ["meta", "started", "stopped"]
    assert "not asked yet, because a pause or a stop is requested" in night.messages


@pytest.mark.slow
def test_a_stop_between_real_trials(night: Night) -> None:
    daemon = night.begin(real_trials=True)
    night.wait_until_it_asks()
    daemon.send_signal(signal.SIGTERM)
    night.wait_for(lambda records: isinstance(records[-1], Stopped))
    assert [r.stage for r in night.see_the_end()[-2:]] == ["baseline", "stopped"]


@pytest.mark.slow
def test_a_pause_is_heard_at_once_and_after_it_the_night_goes_on(night: Night) -> None:
    """The LLM is asked anew, and once its time is over the fallback proposes."""
    night.begin(deadline_s=5.0)
    night.wait_until_it_asks()
    (night.run_dir / PAUSE_FLAG).touch()
    night.wait_for(lambda records: isinstance(records[-1], Paused))
    asked = len(night.server.chats)
    (night.run_dir / PAUSE_FLAG).unlink()
    records = night.see_the_end()
    stages = [r.stage for r in records]
    begun = stages.index("paused")
    assert stages[begun : begun + 3] == ["paused", "resumed", "proposed"]
    assert stages[-1] == "loop_complete"
    closed = [r for r in records if isinstance(r, IterationRecord)]
    assert [(r.iter, r.source) for r in closed] == [(1, "trust-region"), (2, "trust-region")]
    assert len(night.server.chats) == asked + 2, "the same again after the pause, and then for the second iteration"
    exchanges = read_exchanges(night.run_dir)
    assert [(e.iter, e.classification) for e in exchanges] == [(1, Classification.TIMEOUT), (2, Classification.TIMEOUT)]
    assert [call for r in closed for call in r.llm_calls] == [e.call for e in exchanges]


@pytest.mark.slow
def test_a_daemon_that_was_killed_while_it_waited_is_followed_by_one_that_goes_on(night: Night) -> None:
    killed = night.begin()
    night.wait_until_it_asks()
    killed.kill()
    killed.wait()
    assert night.records[-1].stage == "baseline"
    with (night.run_dir / EXCHANGES).open("ab") as log:  # as if it had just begun to write the answer down
        log.write(b'{"seq":0,"ts"')
    night.begin(deadline_s=1.0)
    records = night.see_the_end()
    assert sum(isinstance(r, Baseline) for r in records) == 1
    closed = [r for r in records if isinstance(r, IterationRecord)]
    assert [r.iter for r in closed] == [1, 2]
    exchanges = read_exchanges(night.run_dir)
    assert [e.exchange for e in exchanges] == list(range(1, len(exchanges) + 1))
    assert [call for r in closed for call in r.llm_calls] == [e.call for e in exchanges]
    assert len(list(night.run_dir.glob(f"{EXCHANGES}.torn-*"))) == 1, "what was cut off is kept"
