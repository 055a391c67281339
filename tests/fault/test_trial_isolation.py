"""Real trials that misbehave: each becomes a failure with its cause, and the next trial is bitwise normal."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import select
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from autoresearch.config.resolve import resolve
from autoresearch.core.measurement import Cause, Failure, Measurement, Suspended
from autoresearch.core.ports import Interrupted, SuspendControl
from autoresearch.core.records import EvalFailed, Evaluated, decode
from autoresearch.daemon import service
from autoresearch.daemon.backend import real_backend
from autoresearch.daemon.policy import build_policy
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.trials.forked_trial import ForkedTrial
from autoresearch.trials.spec import Budget, TrialSpec

ENDLESS = Budget(kind="steps", size=10**9)
SMALL = {"baseline.n_layer": 1, "baseline.d_model": 64, "baseline.d_ff": 128, "baseline.n_head": 2}


@dataclasses.dataclass
class Lab:
    """The real thing, its baseline, and what that measures while all is well."""

    trial: ForkedTrial
    baseline: dict[str, Any]
    normal: float
    corpus: Path

    @property
    def server_pid(self) -> int:
        pid = self.trial.runner.server.pid
        assert pid is not None
        return pid

    def failed(self, spec: dict[str, Any] | None = None, on_progress: Any = lambda *_: None, **changes: Any) -> Failure:
        """The failure of a trial with another ``spec`` or other fields of the ``ForkedTrial``; ``cfg`` for knobs."""
        cfg = self.baseline | changes.pop("cfg", {})

        def hostile(cfg: dict[str, Any], seed: int) -> TrialSpec:
            return self.trial.spec(cfg, seed).model_copy(update=spec or {})

        outcome = dataclasses.replace(self.trial, spec=hostile, **changes).measure(cfg, 0, on_progress)
        assert isinstance(outcome, Failure)
        return outcome

    def impatient(self) -> ForkedTrial:
        """The trial, which waits half a second for a suspension."""
        return dataclasses.replace(self.trial, runner=dataclasses.replace(self.trial.runner, suspend_deadline_s=0.5))

    def child(self) -> psutil.Process:
        (only,) = psutil.Process(self.server_pid).children()
        return only

    def strike(self, number: signal.Signals) -> None:
        """Send the running trial a signal; it may be gone already."""
        for child in psutil.Process(self.server_pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(number)

    def logs(self) -> set[Path]:
        return set(self.trial.logs.glob("trial-*.stderr"))


@pytest.fixture(scope="module")
def lab_for_all(
    small_corpus: Path, quick_trials: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    run_dir = tmp_path_factory.mktemp("run")
    settings = resolve(
        {**quick_trials, **SMALL, "limits.deadline_s": 60, "corpus": str(small_corpus), "dir": run_dir}, {}
    ).settings
    policy = build_policy(settings)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONFAULTHANDLER", "1")  # Python then writes the signal that ended it to stderr
        backend = real_backend(settings, policy, run_dir, lambda: False, RecordingObserver())
        assert isinstance(backend.trial, ForkedTrial)
        outcome = backend.trial.measure(policy.baseline, 0, lambda *_: None)
        assert isinstance(outcome, Measurement)
        yield Lab(backend.trial, policy.baseline, outcome.val_bpb, small_corpus)
        backend.close()


@pytest.fixture
def lab(lab_for_all: Lab) -> Iterator[Lab]:
    """Whatever a test does in it: afterwards the next trial is normal, and nothing of the last one is left."""
    files = len(os.listdir("/proc/self/fd"))
    yield lab_for_all
    outcome = lab_for_all.trial.measure(lab_for_all.baseline, 0, lambda *_: None)
    assert isinstance(outcome, Measurement)
    assert outcome.val_bpb.hex() == lab_for_all.normal.hex()
    assert psutil.Process(lab_for_all.server_pid).children() == []
    assert len(os.listdir("/proc/self/fd")) == files


def gone(process: psutil.Process) -> Callable[[], bool]:
    """A function that waits until a process that is not our child has ended, and returns whether it has."""
    end = os.pidfd_open(process.pid)

    def ended() -> bool:
        found = bool(select.select([end], [], [], 60)[0])
        os.close(end)
        return found

    return ended


class TestMemory:
    def test_more_than_there_can_be(self, lab: Lab) -> None:
        outcome = lab.failed(cfg={"d_ff": 1 << 36})
        assert outcome.cause == Cause.OUT_OF_MEMORY
        assert "allocate" in outcome.detail

    def test_more_than_was_allowed(self, lab: Lab) -> None:
        outcome = lab.failed(cfg={"d_model": 1024, "d_ff": 4096, "n_layer": 8}, memory_cap_bytes=300 << 20)
        assert outcome.cause == Cause.OUT_OF_MEMORY
        assert outcome.peak_bytes is not None
        assert outcome.peak_bytes < 600 << 20

    def test_less_than_it_takes_to_begin(self, lab: Lab) -> None:
        """So little that anything may be the first to fail, and not all of it says that memory was the reason."""
        assert lab.failed(memory_cap_bytes=20 << 20).cause in (Cause.OUT_OF_MEMORY, Cause.ERROR, Cause.EXITED)


class TestLoss:
    def test_one_that_explodes_is_ended_in_the_step_in_which_it_does(self, lab: Lab) -> None:
        outcome = lab.failed({"budget": ENDLESS}, cfg={"lr": 1e30, "lr_warmup": 0})
        assert (outcome.cause, outcome.step) == (Cause.NON_FINITE_LOSS, 2)
        assert "step 2 (train)" in outcome.detail


class TestDeadline:
    def test_a_trial_that_takes_too_long(self, lab: Lab) -> None:
        outcome = lab.failed({"budget": ENDLESS}, deadline_s=0.3)
        assert (outcome.cause, outcome.exit_code) == (Cause.TIMEOUT, -signal.SIGKILL)
        assert "0.3 s" in outcome.detail

    def test_a_trial_that_hangs(self, lab: Lab) -> None:
        outcome = lab.failed({"budget": ENDLESS}, lambda *_: lab.strike(signal.SIGSTOP), deadline_s=2.0)
        assert outcome.cause == Cause.TIMEOUT


class TestSignals:
    @pytest.mark.parametrize(
        ("number", "cause"),
        [
            (signal.SIGKILL, Cause.KILLED),
            (signal.SIGSEGV, Cause.CRASHED),
            (signal.SIGABRT, Cause.CRASHED),
            (signal.SIGBUS, Cause.CRASHED),
        ],
    )
    def test_the_child_is_ended_by_one(self, lab: Lab, number: signal.Signals, cause: Cause) -> None:
        outcome = lab.failed({"budget": ENDLESS}, lambda *_: lab.strike(number))
        assert (outcome.cause, outcome.exit_code) == (cause, -number)
        assert number.name in outcome.detail

    def test_a_polite_request_to_stop_is_the_daemons_to_answer(self, lab: Lab) -> None:
        """An impatient `kill`, or a systemd that asks the whole group: the trial finishes, as the daemon wants it."""
        asked = []

        def ask_everyone(*_: object) -> None:
            os.kill(lab.server_pid, signal.SIGTERM)
            lab.strike(signal.SIGTERM)
            asked.append(True)

        outcome = lab.trial.measure(lab.baseline, 0, ask_everyone)
        assert asked
        assert isinstance(outcome, Measurement)
        assert outcome.val_bpb == lab.normal

    def test_what_a_crash_wrote_is_kept(self, lab: Lab) -> None:
        before = lab.logs()
        outcome = lab.failed({"budget": ENDLESS}, lambda *_: lab.strike(signal.SIGSEGV))
        (log,) = lab.logs() - before
        assert "Fatal Python error: Segmentation fault" in log.read_text()
        assert "_train" in outcome.stderr_tail, "the stack says where"

    def test_what_crashes_wrote_does_not_fill_the_disk(self, lab: Lab, tmp_path: Path) -> None:
        old = [tmp_path / f"trajectory-{n}" for n in range(3)] + [
            tmp_path / f"trial-{n:019}.stderr" for n in range(150)
        ]
        for path in old:
            path.write_text("long ago")
        lab.failed({"budget": ENDLESS}, lambda *_: lab.strike(signal.SIGSEGV), logs=tmp_path)
        left = sorted(tmp_path.glob("trial-*.stderr"))
        assert len(left) == 100
        assert "Segmentation fault" in left[-1].read_text(), "the newest are kept"
        assert len(list(tmp_path.glob("trajectory-*"))) == 3

    @pytest.mark.slow
    def test_the_users_second_signal_is_obeyed_even_if_the_server_hangs(self, lab: Lab) -> None:
        asked = []
        runner = dataclasses.replace(lab.trial.runner, aborted=lambda: bool(asked))

        def hang(*_: object) -> None:
            psutil.Process(lab.server_pid).suspend()
            asked.append("stop")

        with pytest.raises(Interrupted):
            dataclasses.replace(lab.trial, runner=runner).measure({**lab.baseline, "n_layer": 6}, 0, hang)

    def test_the_server_is_killed_in_the_middle_of_a_trial(self, lab: Lab) -> None:
        before = lab.server_pid
        ends = []

        def kill_the_server(*_: object) -> None:
            if not ends:
                ends.append(gone(lab.child()))
                lab.child().suspend()  # one that hangs cannot notice by itself
                os.kill(before, signal.SIGKILL)

        outcome = lab.failed({"budget": ENDLESS}, kill_the_server)
        assert (outcome.cause, outcome.exit_code) == (Cause.KILLED, None)
        assert "server" in outcome.detail
        assert ends[0](), "the trial outlived its server"
        assert isinstance(lab.trial.measure(lab.baseline, 0, lambda *_: None), Measurement)
        assert lab.server_pid != before

    @pytest.mark.slow
    def test_the_server_is_stopped_in_the_middle_of_a_trial(self, lab: Lab) -> None:
        """SIGSTOP: the deadline holds, the next trial has another server, and nothing of the old one is left."""
        before, ends = lab.server_pid, []

        def stop_the_server(*_: object) -> None:
            if not ends:
                ends.extend([gone(lab.child()), gone(psutil.Process(before))])
                os.kill(before, signal.SIGSTOP)

        outcome = lab.failed({"budget": ENDLESS}, stop_the_server, deadline_s=2.0)
        assert outcome.cause == Cause.TIMEOUT
        assert "the trial server did not report its end and was replaced" in outcome.detail
        assert all(ended() for ended in ends)
        assert isinstance(lab.trial.measure(lab.baseline, 0, lambda *_: None), Measurement)
        assert lab.server_pid != before

    @pytest.mark.slow
    def test_the_server_is_stopped_between_two_trials(self, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("autoresearch.trials.server.FORK_DEADLINE_S", 1.0)
        before = lab.server_pid
        os.kill(before, signal.SIGSTOP)
        assert isinstance(lab.trial.measure(lab.baseline, 0, lambda *_: None), Measurement)
        assert lab.server_pid != before

    @pytest.mark.slow
    def test_server_and_child_are_stopped_in_the_middle_of_a_trial(self, lab: Lab) -> None:
        def stop_both(*_: object) -> None:
            lab.strike(signal.SIGSTOP)
            os.kill(lab.server_pid, signal.SIGSTOP)

        outcome = lab.failed({"budget": ENDLESS}, stop_both, deadline_s=1.0)
        assert outcome.cause == Cause.TIMEOUT

    @pytest.mark.slow
    def test_the_server_is_killed_between_two_trials(self, lab: Lab) -> None:
        before = lab.server_pid
        ended = gone(psutil.Process(before))
        os.kill(before, signal.SIGKILL)
        assert ended()
        outcome = lab.trial.measure(lab.baseline, 0, lambda *_: None)
        assert isinstance(outcome, Measurement), "it is restarted without a failure"
        assert lab.server_pid != before


class TestPause:
    """A trial that is requested to suspend and cannot."""

    def test_one_that_does_not_train_yet_is_ended_at_once(self, lab: Lab, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "manifest.json")  # a corpus that takes for ever to open; compiling takes minutes

        def slow(cfg: dict[str, Any], seed: int) -> TrialSpec:
            return lab.trial.spec(cfg, seed).model_copy(update={"corpus": str(tmp_path)})

        trial = dataclasses.replace(lab.trial, spec=slow)
        aside = trial.measure(lab.baseline, 0, lambda *_: None, SuspendControl(requested=lambda: True))
        assert isinstance(aside, Suspended)
        assert (aside.step, aside.resumes_at, aside.problem) == (0, None, "it had not begun to train")

    def test_one_that_hangs_is_ended_and_starts_over(self, lab: Lab) -> None:
        hangs = []

        def hang(*_: object) -> None:
            lab.strike(signal.SIGSTOP)
            hangs.append(True)

        aside = lab.impatient().measure(lab.baseline, 0, hang, SuspendControl(requested=lambda: bool(hangs)))
        assert isinstance(aside, Suspended)
        assert aside.resumes_at is None
        assert "did not stop within" in aside.problem

    def test_one_that_resumed_and_hangs_still_has_its_checkpoint(self, lab: Lab) -> None:
        trains: list[bool] = []
        first = lab.trial.measure(lab.baseline, 0, lambda *_: trains.append(True), SuspendControl(lambda: bool(trains)))
        assert isinstance(first, Suspended)
        assert first.resumes_at == first.step
        hangs = []

        def hang(*_: object) -> None:
            lab.strike(signal.SIGSTOP)
            hangs.append(True)

        second = lab.impatient().measure(lab.baseline, 0, hang, SuspendControl(lambda: bool(hangs), first))
        assert isinstance(second, Suspended)
        assert second.resumes_at == first.step
        assert second.trial_wall_s > first.trial_wall_s
        end = lab.trial.measure(lab.baseline, 0, lambda *_: None, SuspendControl(suspended_at=second))
        assert isinstance(end, Measurement)
        assert end.val_bpb.hex() == lab.normal.hex()
        assert not lab.trial.checkpoint.exists()

    def test_one_that_is_killed_while_it_stops_has_failed(self, lab: Lab) -> None:
        """Another process killed it, and may do so again."""
        trains: list[bool] = []

        def strike(*_: object) -> None:
            trains.append(True)
            lab.strike(signal.SIGSTOP)
            lab.strike(signal.SIGKILL)

        outcome = lab.trial.measure(lab.baseline, 0, strike, SuspendControl(requested=lambda: bool(trains)))
        assert isinstance(outcome, Failure)
        assert outcome.cause == Cause.KILLED

    def test_the_deadline_counts_what_it_had_trained_before(self, lab: Lab) -> None:
        trains: list[bool] = []
        first = lab.trial.measure(lab.baseline, 0, lambda *_: trains.append(True), SuspendControl(lambda: bool(trains)))
        assert isinstance(first, Suspended)
        long_ago = first.model_copy(update={"train_wall_s": 59.9, "val_wall_s": 0.1})
        outcome = lab.trial.measure(lab.baseline, 0, lambda *_: None, SuspendControl(suspended_at=long_ago))
        assert isinstance(outcome, Failure)
        assert outcome.cause == Cause.TIMEOUT

    def test_one_that_starts_over_has_its_full_time(self, lab: Lab) -> None:
        """Its checkpoint cannot be used: what the earlier part trained is lost, and does not count."""
        trains: list[bool] = []
        first = lab.trial.measure(lab.baseline, 0, lambda *_: trains.append(True), SuspendControl(lambda: bool(trains)))
        assert isinstance(first, Suspended)
        shutil.rmtree(lab.trial.checkpoint)
        long_ago = first.model_copy(update={"step": 1, "resumes_at": 1, "train_wall_s": 59.9, "val_wall_s": 0.1})
        outcome = lab.trial.measure(lab.baseline, 0, lambda *_: None, SuspendControl(suspended_at=long_ago))
        assert isinstance(outcome, Measurement)
        assert outcome.val_bpb.hex() == lab.normal.hex()


class TestCorpus:
    @pytest.fixture
    def copy(self, lab: Lab, tmp_path: Path) -> Path:
        return Path(shutil.copytree(lab.corpus, tmp_path / "corpus"))

    def test_one_that_was_cut_short(self, lab: Lab, copy: Path) -> None:
        with (copy / "val.bin").open("r+b") as file:
            file.truncate(100)
        outcome = lab.failed({"corpus": str(copy)})
        assert outcome.cause == Cause.ERROR
        assert "val.bin" in outcome.detail

    def test_one_with_ids_that_no_tokenizer_made(self, lab: Lab, copy: Path) -> None:
        size = (copy / "train.bin").stat().st_size
        np.full(size // 2, 0xFFFF, "<u2").tofile(copy / "train.bin")
        outcome = lab.failed({"corpus": str(copy)})
        assert outcome.cause == Cause.ERROR
        assert "IndexError" in outcome.detail

    def test_one_that_is_gone(self, lab: Lab, copy: Path) -> None:
        shutil.rmtree(copy)
        outcome = lab.failed({"corpus": str(copy)})
        assert outcome.cause == Cause.ERROR
        assert "prepared corpus" in outcome.detail


class TestConfiguration:
    @pytest.mark.parametrize(
        ("cfg", "words"),
        [
            ({"precision": "fp8"}, "fp8"),
            ({"n_head": 3}, "RuntimeError"),
            ({"seq_len": 10**6}, "fewer than one sequence"),
        ],
    )
    def test_one_that_the_rails_would_have_refused(self, lab: Lab, cfg: dict[str, Any], words: str) -> None:
        outcome = lab.failed(cfg=cfg)
        assert (outcome.cause, outcome.exit_code) == (Cause.ERROR, 0)
        assert words in outcome.detail


def test_the_loop_continues_after_a_candidate_that_explodes(
    tmp_path: Path, small_corpus: Path, quick_trials: dict[str, Any]
) -> None:
    wide = {"menu.knobs.lr.high": 1e35, "baseline.lr_warmup": 0, "dir": tmp_path, "corpus": str(small_corpus)}
    settings = resolve({**quick_trials, **SMALL, **wide, "proposer": "replay", "iters": 2}, {}).settings
    replies = tuple((json.dumps({"knob": "lr", "new_value": value, "reason": "boldly"}),) for value in (1e30, 1e-3))
    before = psutil.Process().children()
    assert service.run(settings, RecordingObserver(), replies=replies) == "complete"
    assert psutil.Process().children() == before
    records = [decode(payload) for payload in read(tmp_path / TRAJECTORY).payloads]
    (failed,) = [r for r in records if isinstance(r, EvalFailed)]
    assert (failed.iter, failed.cause, failed.eval_metrics.step) == (1, Cause.NON_FINITE_LOSS, 2)
    (evaluated,) = [r for r in records if isinstance(r, Evaluated)]
    assert evaluated.iter == 2
