"""Beginning, continuing and refusing to continue a run: the real service around a fake trial."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.records import (
    Baseline,
    Blocked,
    DecisionRule,
    Evaluated,
    Event,
    LoopComplete,
    Meta,
    Paused,
    Resumed,
    Started,
    Stopped,
    TrialStarted,
    decode,
)
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon import final_report, service
from autoresearch.daemon.final_report import report_names, write_reports
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import (
    BaselineFailed,
    ConfigError,
    JournalDamaged,
    JournalError,
    LockHeld,
    TrialServerError,
    YardstickMismatch,
)
from autoresearch.storage.journal import Journal, read
from autoresearch.storage.lock import DirectoryLock, is_locked
from autoresearch.storage.pause_flag import resume
from autoresearch.storage.run_dir import ARCHIVE, LOCK, PAGE, PAUSE_FLAG, REPORT, SETTINGS, TRAJECTORY
from autoresearch.testing.fake_backend import YARDSTICK, fake_backend
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver
from tests.conftest import ONE_SEED

DAEMON = Path(__file__).parents[2] / "fault" / "fake_daemon.py"


@dataclass(slots=True)
class User(RecordingObserver):
    """Does something when a certain record shows up."""

    react: Callable[[Event], None] = lambda _event: None

    def recorded(self, event: Event) -> None:
        self.events.append(event)
        self.react(event)


@dataclass(slots=True)
class EndlessInSecond(FakeTrial):
    """Its third trial (the second iteration's) ends only when the user wants it to."""

    def measure(self, cfg, seed, on_progress, *rest) -> Any:
        self.takes_s = 600.0 if len(self.measured) == 2 else 0.0
        return FakeTrial.measure(self, cfg, seed, on_progress, *rest)


def run(settings: Settings, react: Callable[[Event], None] = lambda _event: None, **how: Any) -> str:
    return service.run(settings, User(react=react), **{"make_backend": fake_backend, **how})


def records(settings: Settings) -> list[Any]:
    return [decode(payload) for payload in read(settings.run_dir / TRAJECTORY).payloads]


def iterations(settings: Settings) -> list[int]:
    return [r.iter for r in Trajectory.fold(records(settings)).iterations]


def bench_with(trial: FakeTrial, **yardstick: object) -> service.MakeBackend:
    return lambda *_: TrialBackend(trial, YARDSTICK.model_copy(update=yardstick), None)


def tree(directory: Path) -> dict[str, bytes]:
    """Every file below, with its content."""
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


class TestBegin:
    def test_a_run_ends_complete_with_a_report_and_without_its_lock(self, make_settings) -> None:
        settings = make_settings(iters=3, reports=["text"])
        assert run(settings) == "complete"
        found = records(settings)
        assert [r.stage for r in found[:5]] == ["meta", "started", "trial_started", "trial", "baseline"]
        assert isinstance(found[-1], LoopComplete)
        assert iterations(settings) == [1, 2, 3]
        assert "val_bpb" in (settings.run_dir / REPORT).read_text()
        assert not is_locked(settings.run_dir / LOCK)

    def test_the_first_record_says_what_is_fixed(self, make_settings) -> None:
        settings = make_settings({"decision.accept_delta_frac": 0.01}, iters=1, seed=3)
        run(settings)
        meta = records(settings)[0]
        assert isinstance(meta, Meta)
        assert meta.yardstick == YARDSTICK
        assert meta.decision_rule == DecisionRule(kind="threshold", accept_delta_frac=0.01, seed=3)
        assert meta.baseline_cfg == settings.baseline
        assert set(meta.menu["knobs"]) == set(settings.baseline)
        assert meta.profile == "tiny"

    def test_a_run_leaves_no_file_open(self, make_settings) -> None:
        run(make_settings(iters=1))
        before = len(os.listdir("/proc/self/fd"))
        run(make_settings(iters=2))
        assert len(os.listdir("/proc/self/fd")) == before

    def test_signals_go_where_they_went_before(self, make_settings) -> None:
        before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        run(make_settings(iters=1))
        assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before

    def test_a_bench_that_cannot_be_made_leaves_a_run_that_can_begin_later(self, make_settings) -> None:
        def no_bench(*_: object) -> TrialBackend:
            raise TrialServerError("no torch")

        settings = make_settings(iters=1)
        with pytest.raises(TrialServerError):
            run(settings, make_backend=no_bench)
        assert records(settings) == []
        assert not is_locked(settings.run_dir / LOCK)
        assert run(settings) == "complete"

    def test_a_baseline_that_fails_ends_it_and_frees_everything(self, make_settings) -> None:
        settings, closed = make_settings(iters=1), []
        failing = FakeTrial(fail=lambda _cfg: Failure(cause=Cause.OUT_OF_MEMORY, detail="no"))
        backend = TrialBackend(failing, YARDSTICK, None, close=lambda: closed.append(True))
        with pytest.raises(BaselineFailed):
            run(settings, make_backend=lambda *_: backend)
        assert closed == [True]
        assert not is_locked(settings.run_dir / LOCK)
        assert run(settings) == "complete", "once the cause is gone the same run goes on"
        assert iterations(settings) == [1]

    def test_replaying_nothing_is_refused(self, make_settings) -> None:
        with pytest.raises(ConfigError, match="nothing to replay"):
            run(make_settings(proposer="replay"))


def beta1(value: float) -> str:
    """A proposal."""
    return json.dumps({"knob": "beta1", "new_value": value, "reason": "as then"})


class TestContinue:
    def test_a_finished_run_is_left_exactly_as_it_is(self, make_settings, finished: Path) -> None:
        before = tree(finished)
        trial = FakeTrial()
        assert run(make_settings(BEGUN), make_backend=bench_with(trial)) == "complete"
        assert tree(finished) | {LOCK: b""} == before | {LOCK: b""}, "all but who looked last"
        assert trial.measured == []

    def test_fewer_iterations_than_are_there_is_finished_too(self, make_settings) -> None:
        run(make_settings(iters=3))
        assert run(make_settings(iters=2)) == "complete"
        assert iterations(make_settings()) == [1, 2, 3]

    def test_raising_iters_continues_with_the_baseline_that_was_measured(self, make_settings) -> None:
        run(make_settings(iters=2))
        trial = FakeTrial()
        assert run(make_settings(iters=4), make_backend=bench_with(trial)) == "complete"
        settings = make_settings()
        assert iterations(settings) == [1, 2, 3, 4]
        assert len(trial.measured) == 2
        assert sum(isinstance(r, Baseline) for r in records(settings)) == 1
        assert [r.iters_requested for r in records(settings) if isinstance(r, Started)] == [2, 4]

    def test_a_stopped_run_resumes(self, make_settings) -> None:
        settings = make_settings(iters=3)

        def terminate(event: Event) -> None:
            if isinstance(event, Evaluated) and event.iter == 1:
                os.kill(os.getpid(), signal.SIGTERM)

        assert run(settings, terminate) == "SIGTERM"
        assert isinstance(records(settings)[-1], Stopped)
        assert run(settings) == "complete"
        assert iterations(settings) == [1, 2, 3]

    def test_a_second_signal_ends_it_at_once_and_loses_only_that_trial(self, make_settings) -> None:
        settings = make_settings(iters=2)

        def interrupt_twice(event: Event) -> None:
            if isinstance(event, TrialStarted) and event.iter == 2:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)

        def endless_bench(_s, _p, _dir, aborted, _watcher) -> TrialBackend:
            return TrialBackend(EndlessInSecond(aborted=aborted), YARDSTICK, None)

        assert run(settings, interrupt_twice, make_backend=endless_bench) == "stopped at once"
        assert [r.stage for r in records(settings)[-2:]] == ["trial_started", "stopped"]
        assert run(settings) == "complete"
        assert iterations(settings) == [1, 2]

    def test_a_daemon_killed_before_loop_complete_is_finished_by_the_next(self, make_settings) -> None:
        settings = make_settings(iters=2, reports=["text"])
        run(settings)
        log = settings.run_dir / TRAJECTORY
        lines = log.read_bytes().splitlines(keepends=True)
        log.write_bytes(b"".join(lines[:-1]))
        (settings.run_dir / REPORT).unlink()
        assert run(settings) == "complete"
        assert [r.stage for r in records(settings)[-2:]] == ["started", "loop_complete"]
        assert (settings.run_dir / REPORT).exists()

    def test_a_report_that_a_kill_prevented_is_written_by_the_next(self, make_settings) -> None:
        settings = make_settings(iters=1, reports=["text"])
        run(settings)
        (settings.run_dir / REPORT).unlink()
        before = len(records(settings))
        assert run(settings) == "complete"
        assert (settings.run_dir / REPORT).exists()
        assert len(records(settings)) == before

    def test_a_torn_tail_is_repaired_and_reported(self, make_settings) -> None:
        run(make_settings(iters=1))
        settings = make_settings(iters=2)
        with (settings.run_dir / TRAJECTORY).open("ab") as file:
            file.write(b'{"seq":99,"sta')
        assert run(settings) == "complete"
        assert [r.torn_bytes for r in records(settings) if isinstance(r, Started)] == [0, 14]
        (aside,) = settings.run_dir.glob(f"{TRAJECTORY}.torn-*")
        assert aside.read_bytes() == b'{"seq":99,"sta'

    def test_replay_resumes(self, make_settings) -> None:
        replies = tuple((beta1(v),) for v in (0.6, 0.6, 0.7, 0.8))
        limits = {"limits.max_attempts": 1, "proposer": "replay"}
        assert run(make_settings(limits, iters=2), replies=replies) == "complete"
        settings = make_settings(limits, iters=9)
        assert run(settings, replies=replies) == "all 4 recorded replies have been replayed"
        closed = Trajectory.fold(records(settings)).iterations
        assert [r.proposal.new_value for r in closed if isinstance(r, Evaluated)] == [0.6, 0.7, 0.8]
        assert [r.iter for r in closed if isinstance(r, Blocked)] == [2]

    def test_answers_of_an_llm_are_replayed_in_their_iterations_around_the_optimizer(self, make_settings) -> None:
        answers = {2: (("nonsense", beta1(0.6)),), 3: ((beta1(9.0),), (beta1(0.7),))}
        assert run(make_settings(proposer="replay", iters=2), replies=answers) == "complete"
        settings = make_settings(proposer="replay", iters=4)
        assert run(settings, replies=answers) == "complete"
        closed = Trajectory.fold(records(settings)).iterations
        assert [r.source for r in closed] == ["trust-region", "replay", "replay", "trust-region"]
        assert [r.proposal.new_value for r in closed[1:3]] == [0.6, 0.7]


BEGUN = {"baseline.lr": 5e-4, "iters": 1}


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("finished") / "run"
    run(resolve({**BEGUN, **ONE_SEED, "dir": run_dir, "proposer": "random", "reports": ["text"]}, {}).settings)
    return run_dir


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path) -> Path:
    """The directory of a run of one iteration, begun with the settings ``BEGUN``."""
    return Path(shutil.copytree(finished_once, tmp_path / "run"))


class TestRefuseToContinue:
    """Two val_bpb of one run must be comparable: what is fixed stays fixed, and the refusal names what changed."""

    def test_the_same_settings_go_on(self, make_settings, finished: Path) -> None:
        assert run(make_settings(BEGUN, iters=1)) == "complete"
        assert run(make_settings({**BEGUN, "iters": 2})) == "complete"

    @pytest.mark.parametrize("iters", [1, 2], ids=["finished", "unfinished"])
    @pytest.mark.parametrize(
        ("change", "names"),
        [
            ({"baseline.lr": 1e-3}, r"baseline_cfg\.lr: 0\.0005 then, 0\.001 now"),
            ({"menu.knobs.n_layer.high": 4}, r"menu\.knobs\.n_layer\.high: 6 then, 4 now"),
            ({"menu.constraints": []}, r"menu\.constraints"),
            ({"decision.accept_delta_frac": 0.02}, r"decision_rule\.accept_delta_frac: 0\.005 then, 0\.02 now"),
            ({"seed": 1}, r"decision_rule\.seed: 0 then, 1 now"),
        ],
    )
    def test_another_baseline_menu_or_rule(
        self, make_settings, finished: Path, change: dict[str, object], names: str, iters: int
    ) -> None:
        before = (finished / TRAJECTORY).read_bytes()
        with pytest.raises(YardstickMismatch) as refusal:
            run(make_settings({**BEGUN, "iters": iters, **change}))
        assert re.search(names, refusal.value.what)
        assert "--fresh" in refusal.value.hint
        assert (finished / TRAJECTORY).read_bytes() == before
        assert not is_locked(finished / LOCK)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("corpus_sha256", "1" * 64),
            ("span_tokens", 999),
            ("evaluator_version", 2),
            ("versions", {"fake": "2"}),
            ("threads", 8),
            ("device_kind", "another chip"),
            ("budget_size", 20.0),
        ],
    )
    def test_another_yardstick(self, make_settings, finished: Path, field: str, value: object) -> None:
        before = (finished / TRAJECTORY).read_bytes()
        with pytest.raises(YardstickMismatch, match=rf"{field}(\.fake)?: .* then, .* now"):
            run(make_settings({**BEGUN, "iters": 2}), make_backend=bench_with(FakeTrial(), **{field: value}))
        assert (finished / TRAJECTORY).read_bytes() == before
        assert not is_locked(finished / LOCK)

    def test_what_may_change_does_not_hinder(self, make_settings, finished: Path) -> None:
        changes = {"iters": 2, "limits.max_attempts": 2, "on_pause": "exit", "max_hours": 5.0}
        assert run(make_settings(BEGUN | changes)) == "complete"


class TestFresh:
    def test_it_begins_anew_and_deletes_nothing(self, make_settings) -> None:
        settings = make_settings(iters=2, reports=["text"])
        run(settings)
        run_dir = settings.run_dir
        (run_dir / "logs").mkdir()
        (run_dir / "logs" / "trial-1.stderr").write_text("a warning")
        (run_dir / f"{TRAJECTORY}.torn-1").write_bytes(b"torn")
        log = {"exchanges.jsonl": b"live", "exchanges.jsonl.torn-1": b"torn", "exchanges-0001.jsonl.gz": b"packed"}
        log |= {"vault.jsonl": b"sealed", "vault.jsonl.torn-1": b"torn"}
        for name, content in log.items():
            (run_dir / name).write_bytes(content)
        (run_dir / "corpus").mkdir()
        (run_dir / "corpus" / "train.bin").write_bytes(b"ids")
        (run_dir / "notes.txt").write_text("mine")
        old = tree(run_dir)
        observer = RecordingObserver()
        changed = make_settings({"decision.accept_delta_frac": 0.02}, iters=1)
        assert service.run(changed, observer, fresh=True, make_backend=fake_backend) == "complete"
        (archived,) = (run_dir / ARCHIVE).iterdir()
        kept = tree(archived)
        assert set(kept) == {
            *(TRAJECTORY, REPORT, SETTINGS),
            *(f"{TRAJECTORY}.torn-1", "logs/trial-1.stderr"),
            *log,
        }
        assert {name: old[name] for name in kept} == kept
        assert tree(run_dir / "corpus") == {"train.bin": b"ids"}
        assert (run_dir / "notes.txt").read_text() == "mine"
        assert str(archived) in observer.messages[0]
        assert iterations(changed) == [1]
        assert records(changed)[0].run_id != decode(read(archived / TRAJECTORY).payloads[0]).run_id

    def test_twice_keeps_both(self, make_settings) -> None:
        settings = make_settings(iters=1)
        for _ in range(3):
            run(settings, fresh=True)
        assert len(list((settings.run_dir / ARCHIVE).iterdir())) == 2

    def test_in_an_empty_directory_it_is_an_ordinary_beginning(self, make_settings) -> None:
        settings = make_settings(iters=1)
        assert run(settings, fresh=True) == "complete"
        assert not (settings.run_dir / ARCHIVE).exists()

    def test_it_is_the_way_out_of_a_damaged_log(self, make_settings, finished: Path) -> None:
        settings = make_settings(BEGUN)
        log = finished / TRAJECTORY
        log.write_bytes(log.read_bytes().replace(b'"seq":3,', b'"seq":9,'))
        with pytest.raises(JournalDamaged, match="line 4") as refusal:
            run(settings)
        assert "--fresh" in refusal.value.hint
        assert run(settings, fresh=True) == "complete"

    def test_it_does_not_take_a_run_from_its_daemon(self, make_settings, finished: Path) -> None:
        before = (finished / TRAJECTORY).read_bytes()
        lock = DirectoryLock(finished / LOCK)
        lock.acquire({"pid": 1})
        with pytest.raises(LockHeld):
            run(make_settings(BEGUN), fresh=True)
        lock.release()
        assert (finished / TRAJECTORY).read_bytes() == before


class TestSecondDaemon:
    def test_it_is_refused_and_names_the_holder(self, make_settings) -> None:
        settings = make_settings(iters=1000)
        command = [sys.executable, DAEMON, "fake", settings.run_dir, "1000", "0.01"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as first:
            try:
                assert first.stdout is not None
                while b'"stage":"trial_started"' not in first.stdout.readline():
                    pass
                with pytest.raises(LockHeld, match=f"pid {first.pid}, "):
                    run(settings)
                assert first.poll() is None
            finally:
                first.terminate()
            first.communicate()
        assert first.returncode == 0
        (started,) = [r for r in records(settings) if isinstance(r, Started)]
        assert started.pid == first.pid
        assert isinstance(records(settings)[-1], Stopped)


class TestUnusablePlaces:
    def test_a_directory_that_cannot_be_made(self, make_settings) -> None:
        with pytest.raises(JournalError, match="/proc/nothing"):
            run(make_settings(dir=Path("/proc/nothing/run")))

    def test_a_file_where_the_directory_should_be(self, make_settings, tmp_path: Path) -> None:
        (tmp_path / "run").write_text("a file")
        with pytest.raises(JournalError, match="File exists"):
            run(make_settings())

    def test_a_directory_that_is_read_only(self, make_settings, read_only: Path) -> None:
        settings = make_settings(dir=read_only)
        with pytest.raises(JournalError, match=f"cannot write in {read_only}: Read-only file system") as refusal:
            run(settings)
        assert "--dir" in refusal.value.hint

    def test_a_trajectory_that_is_a_directory(self, make_settings) -> None:
        settings = make_settings()
        (settings.run_dir / TRAJECTORY).mkdir(parents=True)
        with pytest.raises(JournalError, match="Is a directory"):
            run(settings)
        assert not is_locked(settings.run_dir / LOCK)

    def test_a_trajectory_of_something_else(self, make_settings) -> None:
        settings = make_settings()
        settings.run_dir.mkdir()
        (settings.run_dir / TRAJECTORY).write_text('{"iter": 1}\n{"iter": 2}\n')
        with pytest.raises(JournalDamaged, match="line 1 "):
            run(settings)
        assert (settings.run_dir / TRAJECTORY).read_text() == '{"iter": 1}\n{"iter": 2}\n'

    def test_a_record_of_a_newer_version(self, make_settings, finished: Path) -> None:
        journal = Journal(finished / TRAJECTORY)
        journal.append('{"stage":"dreamt","ts":"tomorrow"}')
        journal.close()
        line = len(read(journal.path).payloads)
        with pytest.raises(JournalDamaged, match=f"line {line}: .*dreamt") as refusal:
            run(make_settings(BEGUN))
        assert "newer version" in refusal.value.hint


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A directory on a read-only mount: file permissions do not hold root back."""
    place = tmp_path / "read-only"
    place.mkdir()
    with contextlib.ExitStack() as undo:
        mount = ["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", str(place)]
        try:
            done = subprocess.run(mount, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            pytest.skip("no mount(8) here")
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        undo.callback(subprocess.run, ["umount", str(place)], check=True)
        yield place


class TestPauseFlag:
    """Anything of that name pauses, and it uses up no iteration."""

    @pytest.fixture(params=["file", "directory", "dangling link"])
    def flag(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        flag = tmp_path / "run" / PAUSE_FLAG
        flag.parent.mkdir()
        match request.param:
            case "file":
                flag.touch()
            case "directory":
                flag.mkdir()
            case "dangling link":
                flag.symlink_to("/nowhere/at/all")
        return flag

    def test_on_pause_exit_it_ends_in_good_order_before_the_first_trial(self, make_settings, flag: Path) -> None:
        settings = make_settings(iters=2, on_pause="exit")
        assert run(settings) == "paused (pause.flag is there)"
        assert [r.stage for r in records(settings)] == ["meta", "started", "paused", "stopped"]
        assert resume(flag.parent)
        assert run(settings) == "complete"
        assert iterations(settings) == [1, 2]

    def test_on_pause_wait_it_continues_when_the_flag_is_gone(self, make_settings, flag: Path) -> None:
        settings = make_settings(iters=2)
        colleague = threading.Thread(target=resume, args=[flag.parent])

        def resume_later(event: Event) -> None:
            if isinstance(event, Paused):
                colleague.start()

        assert run(settings, resume_later) == "complete"
        colleague.join()
        assert [r.stage for r in records(settings)[:5]] == ["meta", "started", "paused", "resumed", "trial_started"]
        assert iterations(settings) == [1, 2]

    def test_a_signal_ends_a_pause(self, make_settings, flag: Path) -> None:
        settings = make_settings(iters=2)

        def terminate(event: Event) -> None:
            if isinstance(event, Paused):
                os.kill(os.getpid(), signal.SIGTERM)

        assert run(settings, terminate) == "SIGTERM"
        assert not any(isinstance(r, Resumed) for r in records(settings))
        assert os.path.lexists(flag)


def test_without_the_pages_extra_only_the_text_is_written(make_settings, monkeypatch) -> None:
    monkeypatch.setattr(final_report, "find_spec", lambda name: None if name == "bokeh" else object())
    settings = make_settings(iters=1, reports=["text", "html"])
    run(settings)
    assert sorted(p.name for p in settings.run_dir.glob("report.*")) == [REPORT]


@pytest.mark.parametrize(
    ("reports", "names"), [(["text", "html"], (REPORT, PAGE)), (["html"], (PAGE,)), (["text"], (REPORT,)), ([], ())]
)
def test_the_settings_choose_the_reports(
    make_settings, monkeypatch, reports: list[str], names: tuple[str, ...]
) -> None:
    monkeypatch.setattr(final_report, "find_spec", lambda name: object())
    assert report_names(make_settings(reports=reports)) == names


def test_before_each_report_there_is_a_sign_of_life(make_settings, monkeypatch) -> None:
    """Two reports that each take their deadline outlast the silence that a service manager allows."""
    order: list[str] = []

    class Listens(RecordingObserver):
        def heartbeat(self, stopping: str) -> None:
            order.append("alive")

    monkeypatch.setattr(final_report, "find_spec", lambda name: object())
    monkeypatch.setattr(final_report, "_write_one", lambda _settings, name, _observer: order.append(name))
    write_reports(make_settings(reports=["text", "html"]), Listens())
    assert order == ["alive", REPORT, "alive", PAGE]
