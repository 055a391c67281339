"""A run is continued by the rule of its own records; another one that the user requests is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.core.records import DecisionRule, LoopComplete, Meta, decode
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon import service
from autoresearch.daemon.doctor.history import history
from autoresearch.daemon.policy import build_policy, check_policy
from autoresearch.daemon.recorded_rule import keep_recorded_rule
from autoresearch.daemon.service import build_meta
from autoresearch.errors import YardstickMismatch
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import TRAJECTORY
from autoresearch.testing.fake_backend import YARDSTICK, fake_backend
from autoresearch.testing.recording_observer import RecordingObserver


def settings_of(tmp_path: Any, **decision: object) -> Settings:
    """Settings of a user who gave nothing of ``decision`` but this."""
    given = {"dir": tmp_path / "run", "proposer": "random", "iters": 2, "reports": ["text"]}
    return resolve({**given, **{f"decision.{name}": value for name, value in decision.items()}}, {}).settings


def begun(settings: Settings, **changes: object) -> Trajectory:
    """The records of a run that began with these settings, and with another program's constants."""
    meta = build_meta(settings, build_policy(settings), YARDSTICK)
    rule = meta.decision_rule.model_copy(update=changes)
    return Trajectory.fold([meta.model_copy(update={"decision_rule": rule})])


def continued(settings: Settings, run: Trajectory) -> tuple[DecisionRule, list[str]]:
    said: list[str] = []
    policy = keep_recorded_rule(build_policy(settings), settings, run, said.append)
    check_policy(run, policy)
    return policy.rule, said


def test_a_run_by_threshold_continues_by_threshold(tmp_path):
    run = begun(settings_of(tmp_path, rule="threshold", accept_delta_frac=0.01))
    rule, said = continued(settings_of(tmp_path), run)
    assert rule == DecisionRule(kind="threshold", accept_delta_frac=0.01, seed=0)
    assert said == ["this run continues by rule threshold, as it began; a new run would use rule sequential"]


def test_a_run_of_an_old_version_is_one_by_threshold(tmp_path):
    """Its first record has no ``kind``."""
    settings = settings_of(tmp_path, rule="threshold")
    meta = build_meta(settings, build_policy(settings), YARDSTICK).model_dump(mode="json")
    meta["decision_rule"] = {"accept_delta_frac": 0.005, "seed": 0}
    rule, _ = continued(settings_of(tmp_path), Trajectory.fold([Meta.model_validate_json(json.dumps(meta))]))
    assert rule.kind == "threshold"


def test_settings_of_rule_sequential_do_not_matter_to_threshold(tmp_path):
    run = begun(settings_of(tmp_path, rule="threshold"))
    rule, _ = continued(settings_of(tmp_path, alpha=0.1, baseline_seeds=5), run)
    assert rule.alpha is None


@pytest.mark.parametrize(
    "decision", [{"accept_delta_frac": 0.01}, {"alpha": 0.1}, {"max_seeds": 8}, {"confirm": "best"}]
)
def test_what_was_set_at_the_beginning_need_not_be_repeated(tmp_path, decision):
    run = begun(settings_of(tmp_path, **decision))
    rule, said = continued(settings_of(tmp_path), run)
    assert run.meta is not None
    assert rule == run.meta.decision_rule
    ((name, value),) = decision.items()
    assert said[0].startswith(f"this run continues by the rule that it began with: {name} = {value} (a new run: ")
    assert continued(settings_of(tmp_path, **decision), run) == (rule, [])


def test_the_constants_of_the_version_that_began_it_remain(tmp_path):
    run = begun(settings_of(tmp_path), clip=2.0, min_seeds=3)
    rule, said = continued(settings_of(tmp_path), run)
    assert (rule.clip, rule.min_seeds) == (2.0, 3)
    assert "min_seeds = 3 (a new run: " in said[0]
    assert "clip = 2.0 (a new run: " in said[0]


@pytest.mark.parametrize(("began", "asked"), [("threshold", "sequential"), ("sequential", "threshold")])
def test_two_rules_are_not_mixed(tmp_path, began, asked):
    run = begun(settings_of(tmp_path, rule=began))
    with pytest.raises(YardstickMismatch) as refusal:
        continued(settings_of(tmp_path, rule=asked), run)
    assert f"this run judges by rule {began}, and decision.rule = {asked} was requested" in refusal.value.what
    assert "error rate" in refusal.value.what
    assert f"leave decision.rule out to continue by rule {began}" in refusal.value.hint
    assert "--fresh" in refusal.value.hint


def test_another_value_that_was_set_is_refused(tmp_path):
    run = begun(settings_of(tmp_path))
    with pytest.raises(YardstickMismatch, match=r"decision_rule\.alpha: 0\.05 then, 0\.1 now"):
        continued(settings_of(tmp_path, alpha=0.1), run)


def test_a_value_of_the_profile_is_not_the_users(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "autoresearch.daemon.recorded_rule.profile_values", lambda _: {"decision": {"baseline_seeds": 2}}
    )
    run = begun(settings_of(tmp_path, baseline_seeds=3))
    assert continued(settings_of(tmp_path, baseline_seeds=2), run)[0].baseline_seeds == 3
    with pytest.raises(YardstickMismatch, match="baseline_seeds: 3 then, 4 now"):
        continued(settings_of(tmp_path, baseline_seeds=4), run)


def test_a_new_run_takes_the_settings(tmp_path):
    settings = settings_of(tmp_path, alpha=0.01)
    policy = build_policy(settings)
    assert keep_recorded_rule(policy, settings, Trajectory(), pytest.fail) is policy


def test_the_service_and_the_doctor_continue_a_run_by_threshold(tmp_path):
    began = settings_of(tmp_path, rule="threshold")
    service.run(began, RecordingObserver(), make_backend=fake_backend)
    longer, observer = settings_of(tmp_path).model_copy(update={"iters": 4}), RecordingObserver()
    check, *_ = history(longer, build_policy(longer))
    assert check.state == "ok"
    assert "continues at iteration 3 of 4; this run continues by rule threshold" in check.found
    assert service.run(longer, observer, make_backend=fake_backend) == "complete"
    assert any("continues by rule threshold" in message for message in observer.messages)
    records = [decode(payload) for payload in read(longer.run_dir / TRAJECTORY).payloads]
    assert isinstance(records[-1], LoopComplete)
    assert all(r.evidence is None for r in records if r.stage == "evaluated")
