"""The Python script, run against a fake ``megatron.bridge`` that records its arguments."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from autoresearch.errors import ConfigError
from autoresearch.report.export.mapping import fields_of
from autoresearch.report.export.megatron_bridge import SECTIONS, model_arguments, render_script

SPEC_NAMES = ("local_layer_spec", "transformer_engine_layer_spec")
CONFIGS = (
    "CheckpointConfig", "ConfigContainer", "DistributedInitConfig", "GPTDatasetConfig", "LoggerConfig",
    "OptimizerConfig", "RNGConfig", "SchedulerConfig", "TokenizerConfig", "TrainingConfig", "ValidationConfig",
)  # fmt: skip


def recording(name: str) -> type:
    """A class that keeps the arguments it is made with."""

    def init(self: Any, **arguments: Any) -> None:
        self.__dict__.update(arguments)

    return type(name, (), {"__init__": init})


@pytest.fixture
def bridge(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The modules that the script imports, each class recording; what ``pretrain`` was called with."""
    seen: dict[str, Any] = {}
    contents: dict[str, dict[str, Any]] = {
        "megatron.bridge": {},
        "megatron.bridge.models": {},
        "megatron.bridge.models.gpt_provider": {
            "GPTModelProvider": recording("GPTModelProvider"),
            **{name: name for name in SPEC_NAMES},
        },
        "megatron.bridge.training": {},
        "megatron.bridge.training.config": {name: recording(name) for name in CONFIGS},
        "megatron.bridge.training.mixed_precision": {"MixedPrecisionConfig": recording("MixedPrecisionConfig")},
        "megatron.bridge.training.gpt_step": {"forward_step": "forward_step"},
        "megatron.bridge.training.pretrain": {"pretrain": lambda *given: seen.update(pretrain=given)},
        "megatron.core.distributed": {"DistributedDataParallelConfig": recording("DistributedDataParallelConfig")},
    }
    for name, members in contents.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setenv("DATA", "/data")
    monkeypatch.delenv("IMPL", raising=False)
    return seen


def run(text: str, name: str = "exported") -> Any:
    namespace: dict[str, Any] = {"__name__": name}
    exec(compile(text, "exported.py", "exec"), namespace)
    return namespace["config"]


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp8"])
def test_the_script_gives_bridge_every_field(precision, bridge, make_recipe):
    recipe = make_recipe(cfg={"precision": precision}, fp8_recipe="blockwise")
    config = run(render_script(recipe))
    assert set(vars(config)) == set(SECTIONS)
    code = {
        "model.activation_func": F.gelu,
        "model.transformer_layer_spec": "local_layer_spec" if precision == "fp32" else "transformer_engine_layer_spec",
        "dataset.blend_per_split": [(["/data/train"], None), (["/data/val"], None), None],
        "mixed_precision.params_dtype": torch.bfloat16,
        "mixed_precision.pipeline_dtype": torch.bfloat16,
    }
    for section, fields in fields_of(recipe).items():
        given = vars(getattr(config, section))
        for field, value in fields.items():
            assert given[field] == code.get(f"{section}.{field}", value), f"{section}.{field}"
    assert (config.mixed_precision is None) == (precision == "fp32")
    if precision == "fp8":
        assert (config.mixed_precision.fp8, config.mixed_precision.fp8_recipe) == ("hybrid", "blockwise")


def test_it_trains_only_when_it_is_run(bridge, make_recipe):
    config = run(render_script(make_recipe()))
    assert not bridge
    config = run(render_script(make_recipe()), "__main__")
    assert [type(v).__name__ for v in bridge["pretrain"]] == [type(config).__name__, "str"]


def test_the_local_layers_do_without_apex_and_without_fp8(bridge, make_recipe, monkeypatch):
    monkeypatch.setenv("IMPL", "local")
    model = run(render_script(make_recipe())).model
    assert model.transformer_layer_spec == "local_layer_spec"
    fusions = (model.gradient_accumulation_fusion, model.persist_layer_norm, model.masked_softmax_fusion)
    assert fusions == (False, False, False)
    with pytest.raises(SystemExit, match="fp8 needs"):
        run(render_script(make_recipe(cfg={"precision": "fp8"})))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp8"])
@pytest.mark.parametrize("ranks", [1, 2])
def test_what_is_read_out_of_the_text_is_what_running_it_gives(precision, ranks, bridge, make_recipe):
    text = render_script(make_recipe(cfg={"precision": precision}, tensor_parallel=ranks))
    model, read = vars(run(text).model), model_arguments(text)
    assert read["vocab_size"] == 50257 + ranks - 1
    for name in set(read) & set(model) - {"vocab_size"}:
        assert read[name] == model[name], name
    assert {"num_layers", "hidden_size", "add_bias_linear", "layernorm_epsilon"} <= set(read) & set(model)
    assert read["bf16"] == (precision != "fp32")


@pytest.mark.parametrize(
    "text",
    [
        "print('hello')\n",
        "GPTModelProvider(num_layers=2)\n",
        "GPTModelProvider(activation_func=F.silu, gated_linear_unit=True)\n",
    ],
)
def test_a_text_that_is_no_such_script_is_refused(text):
    with pytest.raises(ConfigError, match="does not define a model"):
        model_arguments(text)


@pytest.mark.parametrize("evil", ["x\nimport os", "\x0cimport os", '"""', "\u2028import os"])
def test_text_of_a_trajectory_stays_a_comment(evil, bridge, make_recipe):
    text = render_script(make_recipe(source={"run_id": evil, "change": evil, "profile": evil}))
    head = text.split("\nimport os\n")[0]
    assert all(line.startswith("#") or not line for line in head.splitlines())
    run(text)


def test_no_line_is_too_long_to_read(make_recipe):
    longest = max(len(line) for line in render_script(make_recipe(cfg={"lr": 1.2345678901234567e-05})).splitlines())
    assert longest <= 120
