"""A new run begins with the noise of earlier ones on its yardstick, and its own record is enough to verify it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.settings import Settings
from autoresearch.core.records import Evaluated, Meta, decode
from autoresearch.core.values import Cfg
from autoresearch.daemon import service
from autoresearch.daemon.earlier_runs import read_earlier_runs, read_run_noise
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import ConfigError
from autoresearch.report import load, summarise
from autoresearch.report.verify import verify
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import ARCHIVE, TRAJECTORY
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver

SCRIPT = (("lr", 3e-3), ("weight_decay", 0.1), ("lr", 2e-3), ("beta1", 0.95))


def noisy(salt: str) -> Callable[[Cfg, int], float]:
    def bpb(cfg: Cfg, seed: int) -> float:
        gain = 0.02 if float(cfg["lr"]) > 1e-3 else 0.0
        return 2.0 - gain + random.Random(f"{salt} {sorted(cfg.items())} {seed}").gauss(0, 0.003)

    return bpb


Run = Callable[..., RecordingObserver]


@pytest.fixture
def settings_of(make_settings: Any) -> Callable[..., Settings]:
    def make(earlier: object = "auto", **flags: Any) -> Settings:
        changes = {"decision.rule": "sequential", "baseline.lr": 3e-4, "decision.earlier_runs": earlier}
        return make_settings(changes, **{"proposer": "replay", "iters": len(SCRIPT), **flags})

    return make


def run(settings: Settings, salt: str = "", fresh: bool = False, **yardstick: object) -> RecordingObserver:
    def backend(*_: Any) -> TrialBackend:
        return TrialBackend(FakeTrial(bpb=noisy(salt)), YARDSTICK.model_copy(update=yardstick), None)

    replies = tuple((json.dumps({"knob": k, "new_value": v, "reason": "a hunch"}),) for k, v in SCRIPT)
    observer = RecordingObserver()
    service.run(settings, observer, fresh=fresh, replies=replies, make_backend=backend)
    return observer


def records(run_dir: Path) -> list[Any]:
    return [decode(payload) for payload in read(run_dir / TRAJECTORY).payloads]


def meta_of(run_dir: Path) -> Meta:
    meta = records(run_dir)[0]
    assert isinstance(meta, Meta)
    return meta


def test_a_fresh_run_begins_with_the_noise_of_the_archived_one(settings_of: Any) -> None:
    settings = settings_of()
    run(settings, "first")
    first = meta_of(settings.run_dir)
    assert first.earlier_runs == ()
    observer = run(settings, "second", fresh=True)
    (earlier,) = meta_of(settings.run_dir).earlier_runs
    assert earlier.run_id == first.run_id
    assert earlier.gains_df > 3
    assert 0.001 < earlier.gains_sd_frac < 0.005
    assert earlier.trials_df >= 3
    assert any(m.startswith("1 earlier run on this yardstick: ") for m in observer.messages)
    judged = [r for r in records(settings.run_dir) if isinstance(r, Evaluated) and r.evidence]
    assert max(r.evidence.df for r in judged if r.evidence) > earlier.gains_df
    assert verify(records(settings.run_dir)).difference is None
    numbers = summarise(load(settings.run_dir)).verdicts
    assert numbers is not None
    assert (numbers.earlier_runs, numbers.earlier_used) == (1, True)


def test_without_its_record_of_earlier_runs_the_verdicts_differ(settings_of: Any) -> None:
    settings = settings_of()
    run(settings, "first")
    run(settings, "second", fresh=True)
    first, *rest = records(settings.run_dir)
    assert verify([first.model_copy(update={"earlier_runs": ()}), *rest]).difference is not None


def test_a_resume_reads_nothing_again(settings_of: Any, tmp_path: Path) -> None:
    settings = settings_of()
    run(settings, "first")
    run(settings_of(iters=2), "second", fresh=True)
    before = meta_of(settings.run_dir)
    run(settings_of([str(next((settings.run_dir / ARCHIVE).iterdir()))]), "second")
    assert meta_of(settings.run_dir) == before
    assert sum(isinstance(r, Meta) for r in records(settings.run_dir)) == 1


def test_named_runs_count_once_and_off_reads_none(settings_of: Any, tmp_path: Path) -> None:
    run(settings_of(dir=tmp_path / "old"), "old")
    twice = [str(tmp_path / "old"), str(tmp_path / "old" / TRAJECTORY)]
    messages: list[str] = []
    assert len(read_earlier_runs(settings_of(twice), YARDSTICK, {}, messages.append)) == 1
    assert len(read_earlier_runs(settings_of(str(tmp_path / "old")), YARDSTICK, {}, messages.append)) == 1
    assert read_earlier_runs(settings_of("off"), YARDSTICK, {}, messages.append) == ()
    assert read_earlier_runs(settings_of(), YARDSTICK, {}, messages.append) == ()


def test_another_yardstick_is_not_pooled(settings_of: Any, tmp_path: Path) -> None:
    run(settings_of(dir=tmp_path / "old"), "old", threads=8)
    assert read_run_noise(tmp_path / "old" / TRAJECTORY, YARDSTICK, {}) is None
    messages: list[str] = []
    assert read_earlier_runs(settings_of([str(tmp_path / "old")]), YARDSTICK, {}, messages.append) == ()
    assert "it has another yardstick" in messages[0]


def test_a_run_of_single_seeds_says_nothing(make_settings: Any, tmp_path: Path) -> None:
    run(make_settings(proposer="replay", iters=2, dir=tmp_path / "old"), "old")
    assert read_run_noise(tmp_path / "old" / TRAJECTORY, YARDSTICK, {}) is None


def test_what_cannot_be_read_is_refused_where_it_was_named(settings_of: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"decision\.earlier_runs: .*nowhere does not exist"):
        read_earlier_runs(settings_of([str(tmp_path / "nowhere")]), YARDSTICK, {}, lambda _: None)
    damaged = tmp_path / "damaged"
    run(settings_of(dir=damaged), "old")
    lines = (damaged / TRAJECTORY).read_bytes().splitlines(keepends=True)
    (damaged / TRAJECTORY).write_bytes(b"".join([*lines[:3], b"garbage\n", *lines[3:]]))
    with pytest.raises(ConfigError, match=r"decision\.earlier_runs: "):
        read_earlier_runs(settings_of([str(damaged)]), YARDSTICK, {}, lambda _: None)


def test_an_archived_run_that_cannot_be_read_is_left_out_with_a_message(settings_of: Any) -> None:
    settings = settings_of()
    folder = settings.run_dir / ARCHIVE / "20260101T000000.000000Z"
    folder.mkdir(parents=True)
    (folder / TRAJECTORY).write_bytes(b"garbage\ngarbage\n")
    messages: list[str] = []
    assert read_earlier_runs(settings, YARDSTICK, {}, messages.append) == ()
    assert messages[0].startswith("the noise of ")
