"""What a run kept, measured again with fresh seeds: real gains hold, lucky ones do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.records import Meta, decode
from autoresearch.core.values import Cfg
from autoresearch.daemon import service
from autoresearch.daemon.inputs import Inputs
from autoresearch.daemon.recheck import FRESH_TRIALS, SEED_OFFSET, Rechecked, kept_configurations, recheck
from autoresearch.daemon.trial_backend import TrialBackend
from autoresearch.errors import BaselineFailed, CorpusError, YardstickMismatch
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_trial import FakeTrial
from autoresearch.testing.recording_observer import RecordingObserver

REPLIES = tuple(
    (json.dumps({"knob": knob, "new_value": value, "reason": "a hunch"}),)
    for knob, value in (("lr", 3e-3), ("beta1", 0.8), ("beta2", 0.9))
)
LUCKY_SEED = 0


def bpb(cfg: Cfg, seed: int) -> float:
    """A higher lr is 3% better; beta1 only seems to be, by 1%, with the seed that the run takes; beta2 is worse."""
    lucky = cfg["beta1"] == 0.8 and seed == LUCKY_SEED
    gain = 0.03 * (cfg["lr"] == 3e-3) + 0.01 * lucky - 0.02 * (cfg["beta2"] == 0.9)
    return 2 * (1 - gain) + 0.0005 * ((seed * 7 + int(1e3 * cfg["lr"])) % 5 - 2)


@pytest.fixture
def run(make_settings: Callable[..., Any]) -> list[Any]:
    """The records of a run by rule threshold that kept lr and beta1."""
    settings = make_settings(iters=3, proposer="replay")

    def make(*_: Any) -> TrialBackend:
        return TrialBackend(FakeTrial(bpb=bpb), YARDSTICK, None)

    assert service.run(settings, RecordingObserver(), replies=REPLIES, make_backend=make) == "complete"
    return [decode(payload) for payload in read(settings.run_dir / TRAJECTORY).payloads]


@pytest.fixture
def again(run: list[Any], make_settings: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """Rechecks the run; results, whether it is complete, and what was measured."""

    def call(seeds: int = 4, yardstick: Any = YARDSTICK, **trial: Any) -> tuple[list[Rechecked], bool, list[Any]]:
        fake = FakeTrial(**{"bpb": bpb, **trial})
        settings = make_settings(dir=tmp_path / "recheck")
        meta = next(r for r in run if isinstance(r, Meta))
        results, complete = recheck(
            settings,
            meta,
            kept_configurations(run),
            seeds,
            RecordingObserver(),
            make_backend=lambda *_: TrialBackend(fake, yardstick, None),
        )
        return results, complete, [(cfg["lr"], cfg["beta1"], seed) for cfg, seed in fake.measured]

    return call


def test_a_real_gain_holds_and_a_lucky_one_is_not_there(again):
    results, complete, _ = again()
    assert complete
    assert [(r.kept.change, r.label) for r in results] == [("lr = 0.003", "holds"), ("beta1 = 0.8", "not there")]
    assert results[0].mean_frac == pytest.approx(0.03, abs=0.002)
    assert results[1].kept.claimed_frac == pytest.approx(0.01, abs=0.001)
    assert [p.seed for p in results[0].pairs] == [SEED_OFFSET + i for i in range(4)]


def test_every_seed_trains_the_baseline_and_then_each_kept_configuration(again):
    _, _, measured = again(2)
    assert len(measured) == 6
    assert [seed for _, _, seed in measured] == [SEED_OFFSET] * 3 + [SEED_OFFSET + 1] * 3
    assert measured[0][:2] == measured[3][:2] != measured[1][:2]


def test_the_same_call_measures_nothing_twice_and_more_seeds_only_the_new_ones(again):
    first, _, _ = again(2)
    same, _, measured = again(2)
    assert measured == []
    assert [r.gains_frac for r in same] == [r.gains_frac for r in first]
    _, _, measured = again(3)
    assert {seed for _, _, seed in measured} == {SEED_OFFSET + 2}


def test_a_configuration_that_fails_with_a_seed_says_so_and_the_others_go_on(again):
    nan = Failure(cause=Cause.NON_FINITE_LOSS, detail="the loss is NaN")
    results, complete, _ = again(2, fail=lambda cfg: nan if cfg["beta1"] == 0.8 else None)
    assert complete
    assert [len(r.pairs) for r in results] == [2, 0]
    assert results[1].failures == [f"seed {SEED_OFFSET + i}: the loss is NaN" for i in range(2)]
    assert results[1].label == "not measured"


def test_a_baseline_that_fails_ends_it(again):
    nan = Failure(cause=Cause.NON_FINITE_LOSS, detail="the loss is NaN")
    with pytest.raises(BaselineFailed, match="the loss is NaN"):
        again(2, fail=lambda _cfg: nan)


def test_other_conditions_than_those_of_the_run_are_refused(again):
    with pytest.raises(YardstickMismatch, match="threads"):
        again(2, YARDSTICK.model_copy(update={"threads": 7}))


def test_a_run_by_rule_sequential_also_says_what_the_threshold_would_have_kept(make_settings):
    rule = {"decision.rule": "sequential", "decision.baseline_seeds": 3}
    settings = make_settings(rule, iters=3, proposer="replay")

    def make(*_: Any) -> TrialBackend:
        return TrialBackend(FakeTrial(bpb=bpb), YARDSTICK, None)

    assert service.run(settings, RecordingObserver(), replies=REPLIES, make_backend=make) == "complete"
    records = [decode(payload) for payload in read(settings.run_dir / TRAJECTORY).payloads]
    kept = kept_configurations(records)
    assert [(k.iter, k.by_run, k.by_threshold) for k in kept] == [(1, True, True), (2, False, True)]
    assert kept[0].seeds >= 4
    assert kept[1].seeds == 1


def test_a_trial_that_may_have_read_a_changed_input_is_not_remembered(run, make_settings, tmp_path):
    corpus = tmp_path / "val.bin"
    corpus.write_bytes(b"before")
    inputs = Inputs()
    inputs.watch(corpus)

    def overwrite(cfg: Cfg, seed: int) -> float:
        corpus.write_bytes(b"another text")
        return bpb(cfg, seed)

    settings, kept = make_settings(dir=tmp_path / "recheck"), kept_configurations(run)
    meta = next(r for r in run if isinstance(r, Meta))
    backend = TrialBackend(FakeTrial(bpb=overwrite), YARDSTICK, None, inputs=inputs)
    with pytest.raises(CorpusError, match=r"val\.bin has changed"):
        recheck(settings, meta, kept, 2, RecordingObserver(), make_backend=lambda *_: backend)
    assert (settings.run_dir / FRESH_TRIALS).read_bytes() == b""
