"""The recipe that is exported from a trajectory."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch.core.measurement import Measurement
from autoresearch.core.records import Baseline, Evaluated, Event, Meta
from autoresearch.errors import ConfigError, JournalError
from autoresearch.report import load_records
from autoresearch.report.export.recipe import build_recipe, check_cfg, recipe_facts, vocab_of
from autoresearch.trials.model_shape import ModelShape
from rails import STRUCTURAL_KNOBS

ASSET = Path(__file__).parents[3] / "assets" / "trajectory_v1.jsonl"
VOCAB = 4096


def changed(records: list[Event], kind: type[Event], **fields: Any) -> list[Event]:
    return [r.model_copy(update=fields) if isinstance(r, kind) else r for r in records]


def with_yardstick(records: list[Event], **fields: Any) -> list[Event]:
    meta = records[0]
    assert isinstance(meta, Meta)
    return changed(records, Meta, yardstick=meta.yardstick.model_copy(update=fields))


@pytest.fixture
def records() -> list[Event]:
    """A real night of one keep or more, with the parameter counts that a real trainer records."""
    found: list[Event] = []
    for record in load_records(ASSET):
        if isinstance(record, Evaluated | Baseline):
            cfg = record.candidate_cfg if isinstance(record, Evaluated) else record.baseline_cfg
            measured = record.eval_metrics.model_copy(update={"params": ModelShape.of(cfg, VOCAB).params})
            record = record.model_copy(update={"eval_metrics": measured})
        found.append(record)
    return found


def keeps(records: list[Event]) -> list[Evaluated]:
    return [r for r in records if isinstance(r, Evaluated) and r.decision == "keep"]


def test_it_is_the_keep_with_the_lowest_val_bpb(records):
    best = min(keeps(records), key=lambda r: r.val_bpb)
    recipe = build_recipe(records)
    assert recipe.cfg == best.candidate_cfg
    assert (recipe.source.iter, recipe.source.val_bpb) == (best.iter, best.val_bpb)
    assert recipe.source.baseline_val_bpb == best.baseline_val_bpb
    assert recipe.source.change == f"{best.proposal.knob} = {best.proposal.new_value}"
    assert (recipe.vocab, recipe.shape.params) == (VOCAB, best.eval_metrics.params)
    assert recipe_facts(recipe)["params"] == best.eval_metrics.params


def test_where_nothing_was_kept_it_is_the_baseline(records):
    recipe = build_recipe(changed(records, Evaluated, decision="revert"))
    baseline = next(r for r in records if isinstance(r, Baseline))
    assert recipe.cfg == baseline.baseline_cfg
    assert (recipe.source.iter, recipe.source.val_bpb) == (0, baseline.baseline_val_bpb)


def test_steps_follow_the_budget(records):
    assert build_recipe(records).steps == 10
    tokens = with_yardstick(records, budget_kind="tokens", budget_size=10_000.0)
    assert build_recipe(tokens).steps == 10, "8 x 128 tokens a step, rounded up"
    best = min(keeps(records), key=lambda r: r.val_bpb)
    measured: Measurement = best.eval_metrics.model_copy(update={"train_steps": 37})
    seconds = with_yardstick(changed(records, Evaluated, eval_metrics=measured), budget_kind="seconds", budget_size=9.0)
    assert build_recipe(seconds).steps == 37, "as many as the best trial really made"
    assert build_recipe(records, steps=500).steps == 500
    assert build_recipe(records, steps=500).source.trial_steps == 10
    with pytest.raises(ConfigError, match="steps = 0"):
        build_recipe(records, steps=0)


def test_the_seed_is_the_trials(records):
    assert build_recipe(records).seed == records[0].decision_rule.seed
    other = [r.model_copy(update={"seed": 99}) if hasattr(r, "seed") else r for r in records]
    assert build_recipe(other).seed == 99
    lost = changed(records, Evaluated, trials=(4711,))
    with pytest.raises(JournalError, match="4711"):
        build_recipe(lost)


def test_a_run_that_has_measured_nothing_is_refused(records):
    with pytest.raises(JournalError, match="no measurement yet"):
        build_recipe(records[:2])


def test_the_vocabulary_comes_from_the_parameters_or_is_given():
    for vocab in (257, 4096, 50257):
        cfg = {"n_layer": 3, "n_head": 2, "d_model": 48, "d_ff": 96, "seq_len": 24}
        assert vocab_of(cfg, ModelShape.of(cfg, vocab).params) == vocab
        with pytest.raises(ConfigError, match="--corpus"):
            vocab_of(cfg, ModelShape.of(cfg, vocab).params + 1)
        with pytest.raises(ConfigError, match="--corpus"):
            vocab_of(cfg, 48)
    assert build_recipe(load_records(ASSET), vocab=300).vocab == 300, "the parameter count of a fake is meaningless"


def test_ranks_share_out_what_can_be_shared(records):
    recipe = build_recipe(with_yardstick(records, data_parallel=4, tensor_parallel=2), vocab=257)
    assert (recipe.micro_batch, recipe.world, recipe.shape.vocab) == (2, 8, 258)
    with pytest.raises(ConfigError, match="batch_size = 8 is not divisible among 3 data-parallel"):
        build_recipe(with_yardstick(records, data_parallel=3), vocab=257)
    with pytest.raises(ConfigError, match="n_head = 4 is not divisible among 3 tensor-parallel"):
        build_recipe(with_yardstick(records, tensor_parallel=3), vocab=257)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dropout": 0.1}, "knob dropout = 0.1 has no counterpart"),
        ({"d_ff": None}, "d_ff = None"),
        ({"d_model": "64; rm -rf /"}, "d_model = '64; rm -rf /'"),
        ({"d_model": 64.5}, "d_model = 64.5"),
        ({"n_layer": True}, "n_layer = True"),
        ({"n_layer": 0}, "n_layer = 0"),
        ({"lr": "$(reboot)"}, "lr = "),
        ({"lr": float("nan")}, "lr = nan"),
        ({"lr": -1.0}, "lr = -1.0"),
        ({"precision": "fp16"}, "precision = 'fp16' is not one of fp32, bf16, fp8"),
        ({"n_head": 3}, "d_model = 1024 is not a multiple of n_head = 3"),
    ],
)
def test_a_configuration_without_a_counterpart_in_megatron_is_named(changes, message, make_recipe):
    with pytest.raises(ConfigError, match=re.escape(message)):
        make_recipe(cfg=changes)


@pytest.mark.parametrize("name", STRUCTURAL_KNOBS)
def test_a_structural_knob_is_exported_with_the_origins_value_only(make_recipe, name: str):
    knob = STRUCTURAL_KNOBS[name]
    assert make_recipe(cfg={name: knob.origin}).cfg == make_recipe().cfg
    with pytest.raises(ConfigError, match=f"^{name} = '{knob.others[0]}' is not exported to Megatron"):
        make_recipe(cfg={name: knob.others[0]})


def test_a_missing_knob_is_named(make_recipe):
    cfg = dict(make_recipe().cfg)
    del cfg["beta2"]
    with pytest.raises(ConfigError, match="knob beta2 is missing"):
        check_cfg(cfg)


def test_a_whole_number_where_a_fraction_is_meant_becomes_one(make_recipe):
    assert repr(make_recipe(cfg={"weight_decay": 0}).cfg["weight_decay"]) == "0.0"


def test_transformer_engine_is_the_default_but_for_fp32(make_recipe):
    impls = {p: replace(make_recipe(), cfg={"precision": p}).impl for p in ("fp32", "bf16", "fp8")}
    assert impls == {"fp32": "local", "bf16": "transformer_engine", "fp8": "transformer_engine"}
