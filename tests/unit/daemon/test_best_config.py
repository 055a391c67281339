"""The winner of a run as the baseline of a next one: provenance, generations, what is refused."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.records import Meta, SideTrial, SideTrialStarted, decode
from autoresearch.core.values import Cfg, sha256_of
from autoresearch.daemon import service
from autoresearch.daemon.best_config import read_baseline, refuse_own_directory
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import ConfigError, YardstickMismatch
from autoresearch.report import load, load_records, render_report, summarise
from autoresearch.report.verify import verify
from autoresearch.storage.journal import Journal, read
from autoresearch.storage.run_dir import BEST_CONFIG, TRAJECTORY
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver
from rails import STRUCTURAL_KNOBS

RULE = {"decision.rule": "sequential", "decision.vault": "off", "early_stop.enabled": "off"}


def bpb(cfg: Cfg, seed: int) -> float:
    """Each of three changes gains: lr 3%, beta1 2% of what is left, beta2 1%."""
    gains = (0.03 * (cfg["lr"] == 3e-3), 0.02 * (cfg["beta1"] == 0.8), 0.01 * (cfg["beta2"] == 0.9))
    value = 2.0
    for gain in gains:
        value *= 1 - gain
    return value + 0.0002 * ((seed + 1) * (int(1e4 * cfg["lr"]) + int(1e3 * cfg["beta1"]) + 1) % 7 - 3)


def replies(*changes: tuple[str, float]) -> tuple[tuple[str, ...], ...]:
    return tuple((json.dumps({"knob": k, "new_value": v, "reason": "a hunch"}),) for k, v in changes)


class Climbing:
    """Runs in ``tmp_path``, one directory per generation."""

    def __init__(self, tmp_path: Path) -> None:
        self.tmp_path, self.fake = tmp_path, FakeTrial(bpb=bpb)

    def settings(self, name: str, baseline: Path | None = None, **flags: Any) -> Settings:
        given = {"dir": self.tmp_path / name, "proposer": "replay", "reports": [], **RULE, **flags}
        layer = (f"baseline {baseline}", read_baseline(baseline)) if baseline else None
        return resolve(given, {}, baseline=layer).settings

    def run(
        self,
        name: str,
        *changes: tuple[str, float],
        baseline: Path | None = None,
        yardstick: Any = YARDSTICK,
        **flags: Any,
    ) -> Path:
        settings = self.settings(name, baseline, **{"iters": len(changes), **flags})
        backend = TrialBackend(self.fake, yardstick, None)
        service.run(settings, RecordingObserver(), replies=replies(*changes), make_backend=lambda *_: backend)
        return settings.run_dir


@pytest.fixture
def climbing(tmp_path: Path) -> Climbing:
    return Climbing(tmp_path)


def meta_of(run_dir: Path) -> Meta:
    meta = decode(read(run_dir / TRAJECTORY).payloads[0])
    assert isinstance(meta, Meta)
    return meta


def test_the_winner_is_written_with_its_provenance(climbing: Climbing) -> None:
    run_dir = climbing.run("one", ("lr", 3e-3), ("beta1", 0.8))
    table = tomllib.loads((run_dir / BEST_CONFIG).read_text())
    meta = meta_of(run_dir)
    assert table["baseline"]["lr"] == 3e-3
    assert table["baseline"] == {**meta.baseline_cfg, "lr": 3e-3}
    climb = table["climb"]
    assert climb["run_ids"] == [meta.run_id]
    assert climb["iter"] == 1
    assert climb["yardstick_sha256"] == meta.yardstick_sha256
    assert climb["baseline_sha256"] == sha256_of(table["baseline"])
    assert climb["gain_frac"] == pytest.approx(0.03, abs=0.002)
    assert climb["low_frac"] < climb["gain_frac"] < climb["high_frac"]
    assert len(climb["seeds"]) >= 2
    assert climb["first_baseline"] == meta.baseline_cfg


def test_the_file_is_valid_settings_of_config_and_baseline(climbing: Climbing) -> None:
    file = climbing.run("one", ("lr", 3e-3)) / BEST_CONFIG
    by_config = resolve({}, {}, file).settings
    assert by_config.baseline["lr"] == 3e-3
    assert by_config.climb == climbing.settings("two", file).climb == climbing.settings("two", file.parent).climb


def test_of_two_keeps_the_one_with_the_better_lower_bound_wins(climbing: Climbing) -> None:
    run_dir = climbing.run("one", ("beta1", 0.8), ("lr", 3e-3))
    assert tomllib.loads((run_dir / BEST_CONFIG).read_text())["climb"]["iter"] == 2


def test_a_link_in_its_place_is_replaced_and_not_followed(climbing: Climbing, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / BEST_CONFIG).symlink_to(victim)
    run_dir = climbing.run("one", ("lr", 3e-3))
    assert victim.read_text() == "precious"
    assert not (run_dir / BEST_CONFIG).is_symlink()


def test_a_run_that_kept_nothing_writes_no_file_and_is_not_a_baseline(climbing: Climbing) -> None:
    run_dir = climbing.run("one", ("weight_decay", 0.1))
    assert not (run_dir / BEST_CONFIG).exists()
    with pytest.raises(ConfigError, match="kept nothing"):
        read_baseline(run_dir)


def test_the_next_run_climbs_and_its_total_gain_is_measured_against_the_first_baseline(climbing: Climbing) -> None:
    one = climbing.run("one", ("lr", 3e-3))
    two = climbing.run("two", ("beta1", 0.8), baseline=one)
    climb = meta_of(two).climb
    assert climb is not None
    assert (climb.run_ids, climb.generation) == ((meta_of(one).run_id,), 2)
    assert climb.first_baseline_cfg == meta_of(one).baseline_cfg
    trials = [r for r in load_records(two) if isinstance(r, SideTrial)]
    assert [(t.iter, t.seed) for t in trials] == [(n, s) for s in range(3000, 3004) for n in (None, 1)]
    measured = [(cfg["lr"], seed) for cfg, seed in climbing.fake.measured if seed >= 3000]
    assert [lr for lr, _ in measured] == [meta_of(one).baseline_cfg["lr"], 3e-3] * 4
    numbers = summarise(load(two)).climb
    assert numbers is not None
    first = [bpb(climb.first_baseline_cfg, s) for s in range(3000, 3004)]
    best = [bpb({**climb.first_baseline_cfg, "lr": 3e-3, "beta1": 0.8}, s) for s in range(3000, 3004)]
    assert numbers.total_gain_frac == pytest.approx((sum(first) - sum(best)) / sum(first), rel=1e-12)
    assert numbers.total_low_frac < numbers.total_gain_frac < numbers.total_high_frac
    text = render_report(summarise(load(two)), load(two), width=400)
    assert "generation 2" in text
    assert f"total gain over the first baseline: {100 * numbers.total_gain_frac:+.2f}%" in text
    assert verify(load_records(two)).difference is None


def test_a_third_generation_keeps_the_first_baseline(climbing: Climbing) -> None:
    one = climbing.run("one", ("lr", 3e-3))
    two = climbing.run("two", ("beta1", 0.8), baseline=one)
    three = climbing.run("three", ("beta2", 0.9), baseline=two / BEST_CONFIG)
    climb = meta_of(three).climb
    assert climb is not None
    assert climb.run_ids == (meta_of(one).run_id, meta_of(two).run_id)
    assert climb.first_baseline_cfg == meta_of(one).baseline_cfg
    numbers = summarise(load(three)).climb
    assert numbers.total_gain_frac == pytest.approx(1 - 0.97 * 0.98 * 0.99, abs=5e-4)


def test_a_generation_without_a_keep_measures_its_baseline_against_the_first(climbing: Climbing) -> None:
    one = climbing.run("one", ("lr", 3e-3))
    two = climbing.run("two", ("weight_decay", 0.1), baseline=one)
    numbers = summarise(load(two)).climb
    assert (numbers.winner_iter, numbers.total_seeds) == (0, 4)
    assert numbers.total_gain_frac == pytest.approx(0.03, abs=1e-3)


def test_another_yardstick_is_refused_naming_what_differs(climbing: Climbing) -> None:
    one = climbing.run("one", ("lr", 3e-3))
    with pytest.raises(YardstickMismatch, match="threads: 1 then, 2 now"):
        climbing.run("two", ("beta1", 0.8), baseline=one, yardstick=YARDSTICK.model_copy(update={"threads": 2}))


def test_a_forged_yardstick_and_another_baseline_are_refused(climbing: Climbing) -> None:
    one = climbing.run("one", ("lr", 3e-3))
    text = (one / BEST_CONFIG).read_text()
    forged = one.parent / "forged.toml"
    forged.write_text(text.replace('\\"threads\\": 1', '\\"threads\\": 2'))
    with pytest.raises(ConfigError, match=r"climb\.yardstick_sha256"):
        climbing.run("two", ("beta1", 0.8), baseline=forged)
    with pytest.raises(ConfigError, match="not the winner"):
        climbing.run("two", ("beta1", 0.8), baseline=one, **{"baseline.beta2": 0.9})
    forged.write_text(text.replace("iter = 1", ""))
    with pytest.raises(ConfigError, match=r"climb\.iter is missing"):
        climbing.run("two", ("beta1", 0.8), baseline=forged)


def test_a_stop_between_the_side_trials_is_continued(climbing: Climbing) -> None:
    one = climbing.run("one", ("lr", 3e-3))
    two = climbing.run("two", ("beta1", 0.8), baseline=one)
    payloads = list(read(two / TRAJECTORY).payloads)
    cut = next(
        n for n, p in enumerate(payloads) if isinstance(decode(p), SideTrialStarted) and decode(p).side_trial == 4
    )
    (two / TRAJECTORY).unlink()
    for path in two.glob("trajectory.*"):
        path.unlink()
    journal = Journal(two / TRAJECTORY)
    for payload in payloads[: cut + 1]:
        journal.append(payload.decode())
    journal.close()
    climbing.fake.measured.clear()
    climbing.run("two", ("beta1", 0.8), baseline=one)
    assert [seed for _, seed in climbing.fake.measured] == [3001, 3002, 3002, 3003, 3003]
    assert summarise(load(two)).climb.total_seeds == 4
    assert verify(load_records(two)).difference is None


def test_a_first_baseline_that_fails_is_counted_and_not_tried_for_ever(climbing: Climbing) -> None:
    one = climbing.run("one", ("lr", 3e-3))
    first = meta_of(one).baseline_cfg
    climbing.fake.fail = lambda cfg: Failure(cause=Cause.OUT_OF_MEMORY, detail="full") if cfg == first else None
    two = climbing.run("two", ("beta1", 0.8), baseline=one)
    numbers = summarise(load(two)).climb
    assert (numbers.total_gain_frac, numbers.total_failed) == (None, 4)


def test_verify_finds_a_side_trial_of_another_configuration(climbing: Climbing) -> None:
    one = climbing.run("one", ("lr", 3e-3))
    two = climbing.run("two", ("beta1", 0.8), baseline=one)
    records = [
        r.model_copy(update={"cfg": {**r.cfg, "lr": 0.5}}) if isinstance(r, SideTrialStarted) else r
        for r in load_records(two)
    ]
    found = verify(records).difference
    assert found is not None
    assert found.field == "side_trial_started.cfg"


@pytest.mark.parametrize("named", ["one", f"one/{BEST_CONFIG}", f"one/{TRAJECTORY}"])
def test_a_run_is_not_its_own_baseline(climbing: Climbing, named: str, tmp_path: Path) -> None:
    climbing.run("one", ("lr", 3e-3))
    with pytest.raises(ConfigError, match="same run"):
        refuse_own_directory(tmp_path / named, tmp_path / "one")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", r"no table \[baseline\]"),
        (b"baseline = 3", r"no table \[baseline\]"),
        (b"\0\xff\xfe", "not TOML"),
        (b"iters = 4\n[baseline]\nlr = 1e-3", "iters is not part of a baseline"),
    ],
)
def test_a_file_that_is_not_a_baseline_is_refused(content: bytes, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=problem):
        read_baseline(file)


def test_a_directory_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run has started there"):
        read_baseline(tmp_path)


def test_the_budget_in_flops_stays_that_of_the_first_baseline(make_settings: Callable[..., Settings]) -> None:
    from autoresearch.daemon.policy import build_policy
    from autoresearch.trials.trial_budget import budget_flops, flops_per_step

    first = build_policy(make_settings())
    flops = budget_flops(first.budget, first.baseline, first.vocab)
    next_run = build_policy(make_settings({"baseline.n_layer": 1, "budget.flops": flops}))
    assert budget_flops(next_run.budget, next_run.baseline, next_run.vocab) == flops
    steps = next_run.steps(next_run.baseline)
    assert steps == flops // flops_per_step(next_run.baseline, next_run.vocab) > first.steps(first.baseline)


def test_a_knob_that_comes_onto_the_menu_later_is_accepted_and_the_first_baseline_has_the_origins_value(
    climbing: Climbing,
) -> None:
    origin = STRUCTURAL_KNOBS["qk_norm"].origin
    one = climbing.run("one", ("lr", 3e-3))
    two = climbing.run("two", ("beta1", 0.8), baseline=one, **{"menu.knobs.qk_norm": {}})
    meta = meta_of(two)
    assert meta.climb is not None
    assert meta.baseline_cfg == {**meta_of(one).baseline_cfg, "lr": 3e-3, "qk_norm": origin}
    assert meta.climb.first_baseline_cfg == {**meta_of(one).baseline_cfg, "qk_norm": origin}
    assert summarise(load(two)).climb.total_seeds == 4
    assert verify(load_records(two)).difference is None
    three = climbing.run("three", ("beta2", 0.9), baseline=two, **{"menu.knobs.qk_norm": {}})
    climb = meta_of(three).climb
    assert climb is not None
    assert climb.first_baseline_cfg == meta.climb.first_baseline_cfg


def test_a_value_that_the_user_gives_for_the_new_knob_is_another_baseline(climbing: Climbing) -> None:
    one = climbing.run("one", ("lr", 3e-3))
    other = next(v for v in STRUCTURAL_KNOBS["qk_norm"].choices if v != STRUCTURAL_KNOBS["qk_norm"].origin)
    with pytest.raises(ConfigError, match="not the winner"):
        climbing.run("two", ("beta1", 0.8), baseline=one, **{"menu.knobs.qk_norm": {}, "baseline.qk_norm": other})
