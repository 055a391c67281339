"""The sweep around a fake stopwatch: which points, which of them again, and what a signal, a lock or a failure does."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.ports import Interrupted
from autoresearch.core.speeds import Point, Timing, swept
from autoresearch.core.values import Cfg
from autoresearch.daemon.envelope import Axes, Envelope, points_of, sweep
from autoresearch.daemon.inputs import Inputs
from autoresearch.daemon.policy import build_policy
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import ConfigError, CorpusError, JournalDamaged, LockHeld
from autoresearch.storage.journal import read
from autoresearch.storage.lock import DirectoryLock, is_locked
from autoresearch.storage.run_dir import ENVELOPE, LOCK
from autoresearch.storage.speed_log import decode_speeds
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_timer import FakeTimer
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver
from autoresearch.trials.estimate import Estimator
from autoresearch.trials.spec import Budget, Device

FOUR = Axes((8, 16), (64,), ("fp32", "bf16"))
ALL_FOUR = [(8, 64, "fp32"), (8, 64, "bf16"), (16, 64, "fp32"), (16, 64, "bf16")]
GIB = 2**30
CPU = Device(
    device="cpu", kind="cpu", precisions=("fp32", "bf16"), without={"fp8": "it needs a CUDA device"},
    free_bytes=None, versions={},
)  # fmt: skip


def found(settings: Settings, timer: FakeTimer | None = None, axes: Axes = FOUR, **how: Any) -> Envelope:
    """A sweep with a fake stopwatch; ``estimator`` and ``yardstick`` go into the bench."""
    parts = {"yardstick": YARDSTICK, "estimator": None} | {
        k: how.pop(k) for k in ("yardstick", "estimator") if k in how
    }

    def backend(*_: Any) -> TrialBackend:
        return TrialBackend(FakeTrial(), **parts, timer=timer or FakeTimer())

    return sweep(settings, how.pop("observer", RecordingObserver()), axes, make_backend=backend, **how)


def where(envelope: Envelope, status: str = "measured") -> list[Any]:
    return [p.swept for p in envelope.points if p.status == status]


def fails(at: tuple[int, int, str], failure: Failure) -> Callable[[Cfg], Failure | None]:
    return lambda cfg: failure if swept(cfg) == at else None


def test_a_corpus_that_changes_during_a_sweep_ends_it_without_the_point(make_settings, tmp_path: Path) -> None:
    file, settings, inputs = tmp_path / "train.bin", make_settings(), Inputs()
    file.write_text("text")
    inputs.watch(file)

    def change(_cfg: Cfg) -> None:
        file.write_text("other text")

    def backend(*_: Any) -> TrialBackend:
        return TrialBackend(FakeTrial(), YARDSTICK, None, timer=FakeTimer(fail=change), inputs=inputs)

    with pytest.raises(CorpusError, match=r"train\.bin has changed"):
        sweep(settings, RecordingObserver(), FOUR, make_backend=backend)
    path = settings.run_dir / ENVELOPE
    assert not [r for r in decode_speeds(path, read(path).payloads) if isinstance(r, Point)]


NO_ROOM = Failure(cause=Cause.OUT_OF_MEMORY, detail="it held 9 MiB, 8 MiB were allowed")


class TestPoints:
    def test_by_default_they_are_the_menus_choices_the_small_ones_first(self, make_settings) -> None:
        policy = build_policy(make_settings())
        cfgs = points_of(policy, Axes())
        assert len(cfgs) == 4 * 3 * 2
        assert swept(cfgs[0]) == (2, 32, "fp32")
        assert swept(cfgs[-1]) == (16, 128, "bf16")
        sizes = [int(c["batch_size"]) * int(c["seq_len"]) for c in cfgs]
        assert sizes == sorted(sizes)
        others = {k: v for k, v in policy.baseline.items() if k not in ("batch_size", "seq_len", "precision")}
        assert all(others.items() <= cfg.items() for cfg in cfgs)

    def test_values_off_the_menu_may_be_asked_for_and_count_once(self, make_settings) -> None:
        cfgs = points_of(build_policy(make_settings()), Axes((3, 3, 100), (77,), ("fp8",)))
        assert [swept(c) for c in cfgs] == [(3, 77, "fp8"), (100, 77, "fp8")]

    @pytest.mark.parametrize(
        ("axes", "words"),
        [
            (Axes(batch_sizes=(8, 0)), "--batch-size 0 is less than 1"),
            (Axes(seq_lens=(-5,)), "--seq-len -5 is less than 1"),
            (Axes(precisions=("fp64",)), "--precision fp64 is not a precision"),
        ],
    )
    def test_what_no_trainer_supports_is_refused_before_anything_begins(self, make_settings, axes, words) -> None:
        settings = make_settings()
        with pytest.raises(ConfigError, match=words) as caught:
            found(settings, axes=axes)
        assert caught.value.hint
        assert not settings.run_dir.exists()

    def test_a_menu_without_choices_asks_for_them(self, make_settings) -> None:
        settings = make_settings({"menu.knobs.batch_size": {"type": "int", "low": 1, "high": 99, "doc": "any"}})
        with pytest.raises(ConfigError, match="no choices of batch_size") as caught:
            found(settings, axes=Axes())
        assert "--batch-size VALUE" in caught.value.hint


class TestSweep:
    def test_it_measures_every_point_and_tells_each_as_it_comes(self, make_settings) -> None:
        told: list[Any] = []
        timer = FakeTimer()
        envelope = found(make_settings(), timer, on_point=lambda n, of, p: told.append((n, of, p.swept)))
        assert where(envelope) == ALL_FOUR == [swept(c) for c in timer.timed]
        assert told == [(n, 4, at) for n, at in enumerate(ALL_FOUR, 1)]
        assert (envelope.planned, envelope.ended, envelope.peaks) == (4, "", {"fp32": 1e9, "bf16": 1e9})

    def test_mfu_is_the_models_flops_over_the_measured_peak(self, make_settings) -> None:
        (point,) = found(make_settings(), axes=Axes((8,), (64,), ("fp32",))).points
        assert point.speed is not None
        assert point.mfu == pytest.approx(100 * point.speed.real_tokens_per_s / 1e9)

    def test_several_ranks_have_several_peaks(self, make_settings) -> None:
        axes = Axes((8,), (64,), ("fp32",))
        one = found(make_settings(), axes=axes).points[0]
        two = found(make_settings({"parallel.data": 2}), axes=axes, fresh=True).points[0]
        assert two.mfu == pytest.approx(one.mfu / 2)

    def test_without_a_peak_there_is_no_mfu_and_it_is_measured_once(self, make_settings) -> None:
        observer, asked = RecordingObserver(), []

        def no_peak(cfg: Cfg) -> Failure:
            asked.append(cfg["precision"])
            return Failure(cause=Cause.ERROR, detail="no fp8 here")

        envelope = found(make_settings(), FakeTimer(no_peak=no_peak), observer=observer)
        assert [p.mfu for p in envelope.points] == [None] * 4
        assert asked == ["fp32", "bf16"]
        assert "no matmul peak in fp32, so no MFU: error (no fp8 here)" in observer.messages

    def test_a_point_that_fails_is_a_point_and_the_sweep_continues(self, make_settings) -> None:
        envelope = found(make_settings(), FakeTimer(fail=fails(ALL_FOUR[1], NO_ROOM)))
        assert where(envelope, "failed") == [ALL_FOUR[1]]
        assert envelope.points[1].failure == NO_ROOM
        assert len(where(envelope)) == 3


class TestRefused:
    @pytest.fixture
    def estimator(self, make_settings) -> Estimator:
        return Estimator(build_policy(make_settings()).baseline, 4096, "torch", CPU, Budget(kind="steps", size=10), 0)

    def test_what_the_trainer_cannot_do_is_not_run(self, make_settings, estimator) -> None:
        timer = FakeTimer()
        envelope = found(make_settings(), timer, Axes((8,), (64,), ("fp32", "fp8")), estimator=estimator)
        assert "trainer torch cannot train in fp8" in envelope.points[1].refused
        assert [c["precision"] for c in timer.timed] == ["fp32"]
        assert list(envelope.peaks) == ["fp32"]

    def test_what_cannot_fit_is_not_run_and_what_is_only_slow_is(self, make_settings, estimator) -> None:
        settings = make_settings({"limits.memory_gib": 2.0, "limits.max_time_ratio": 1.0})
        envelope = found(settings, axes=Axes((8, 64, 4096), (64,), ("fp32",)), estimator=estimator)
        assert where(envelope) == [(8, 64, "fp32"), (64, 64, "fp32")]
        assert "GiB of memory, 2.00 GiB are available" in envelope.points[2].refused

    def test_the_same_refusal_is_written_once(self, make_settings, estimator) -> None:
        again = partial(found, make_settings(), axes=Axes((8,), (64,), ("fp8",)), estimator=estimator)
        first, second = again(), again()
        assert [p.refused for p in first.points] == [p.refused for p in second.points]
        assert len(read(first.path).payloads) == 2  # the conditions and one point


class TestResume:
    def test_what_was_measured_is_not_measured_again(self, make_settings) -> None:
        settings, timer, observer = make_settings(), FakeTimer(), RecordingObserver()
        first = found(settings, axes=Axes((8,), (64,)))
        again = found(settings, timer, observer=observer)
        assert [swept(c) for c in timer.timed] == ALL_FOUR[2:]
        assert again.points[:2] == first.points
        assert "2 of 4 points are measured already" in observer.messages

    def test_a_point_that_failed_is_tried_again(self, make_settings) -> None:
        settings, timer = make_settings(), FakeTimer()
        found(settings, FakeTimer(fail=fails(ALL_FOUR[0], NO_ROOM)))
        envelope = found(settings, timer)
        assert [swept(c) for c in timer.timed] == ALL_FOUR[:1]
        assert where(envelope) == ALL_FOUR

    @pytest.mark.parametrize(
        "other",
        [
            {"timing": Timing(steps=21)},
            {"yardstick": YARDSTICK.model_copy(update={"threads": 5})},
            {"yardstick": YARDSTICK.model_copy(update={"versions": {"fake": "2"}})},
        ],
    )
    def test_under_another_key_everything_is_measured_and_nothing_lost(self, make_settings, other) -> None:
        settings, timer = make_settings(), FakeTimer()
        found(settings)
        found(settings, timer, **other)
        assert len(timer.timed) == 4
        back = FakeTimer()
        assert where(found(settings, back)) == ALL_FOUR
        assert back.timed == []

    def test_another_model_is_measured_anew_another_learning_rate_is_not(self, make_settings) -> None:
        wider, faster = FakeTimer(), FakeTimer()
        found(make_settings())
        found(make_settings({"baseline.lr": 1e-3}), faster)
        found(make_settings({"baseline.d_model": 192}), wider)
        assert (len(faster.timed), len(wider.timed)) == (0, 4)

    def test_fresh_measures_anew_and_keeps_the_old_file(self, make_settings) -> None:
        settings, timer, observer = make_settings(), FakeTimer(), RecordingObserver()
        path = found(settings).path
        before = path.read_bytes()
        found(settings, timer, fresh=True, observer=observer)
        assert len(timer.timed) == 4
        (kept,) = (settings.run_dir / "archive").glob(f"*/{ENVELOPE}")
        assert kept.read_bytes() == before
        assert any("the old envelope was moved to" in m for m in observer.messages)

    def test_a_torn_tail_costs_its_point_only(self, make_settings) -> None:
        settings, timer = make_settings(), FakeTimer()
        path = found(settings).path
        path.write_bytes(path.read_bytes()[:-20])
        assert where(found(settings, timer)) == ALL_FOUR
        assert [swept(c) for c in timer.timed] == ALL_FOUR[3:]

    def test_a_damaged_file_is_refused_before_anything_starts(self, make_settings) -> None:
        settings, timer = make_settings(), FakeTimer()
        path = found(settings).path
        path.write_bytes(path.read_bytes().replace(b"fp32", b"fp23", 1))
        with pytest.raises(JournalDamaged, match="line 2"):
            found(settings, timer)
        assert timer.timed == []


class TestEnd:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_it_at_once_and_what_is_measured_stays(self, make_settings, number) -> None:
        """The fake stopwatch does what the real one does when ``aborted`` becomes true."""

        class Struck(FakeTimer):
            def speed(self, cfg: Cfg, *how: Any) -> Any:
                if swept(cfg) == ALL_FOUR[2]:
                    os.kill(os.getpid(), number)
                    raise Interrupted("stopped at once")
                return FakeTimer.speed(self, cfg, *how)

        settings, rest = make_settings(), FakeTimer()
        envelope = found(settings, Struck())
        assert (envelope.ended, envelope.planned, where(envelope)) == (number.name, 4, ALL_FOUR[:2])
        assert where(found(settings, rest)) == ALL_FOUR
        assert [swept(c) for c in rest.timed] == ALL_FOUR[2:]

    def test_a_signal_between_two_points_is_seen_before_the_next(self, make_settings) -> None:
        envelope = found(make_settings(), on_point=lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        assert (envelope.ended, where(envelope)) == ("SIGTERM", ALL_FOUR[:1])

    def test_a_directory_that_a_daemon_holds_is_refused(self, make_settings) -> None:
        settings = make_settings()
        settings.run_dir.mkdir()
        lock = DirectoryLock(settings.run_dir / LOCK)
        lock.acquire({"pid": 4711})
        try:
            with pytest.raises(LockHeld, match="4711"):
                found(settings)
        finally:
            lock.release()
        assert not (settings.run_dir / ENVELOPE).exists()

    def test_the_lock_is_given_back(self, make_settings) -> None:
        settings = make_settings()
        found(settings)
        assert not is_locked(settings.run_dir / LOCK)


class TestForR7:
    def test_it_needs_the_baselines_own_point(self, make_settings) -> None:
        settings = make_settings()
        assert not found(settings, axes=Axes((16,), (64,), ("fp32",))).prices_r7
        assert found(settings).prices_r7

    def test_a_baseline_that_could_not_run_does_not_prevent_a_sweep(self, tmp_path: Path) -> None:
        """As with profile gb10-354m and trainer torch: the sweep may leave fp8 out."""
        settings = resolve({"profile": "gb10-354m", "dir": tmp_path}, {}).settings
        assert where(found(settings, axes=Axes((2,), (512,), ("bf16",)))) == [(2, 512, "bf16")]


def test_every_line_of_the_file_is_a_record(make_settings) -> None:
    path = found(make_settings(), FakeTimer(fail=fails(ALL_FOUR[1], NO_ROOM))).path
    kinds = [record.kind for record in decode_speeds(path, read(path).payloads)]
    assert kinds == ["conditions", "peak", "point", "peak", "point", "point", "point"]
