"""Render a recipe as a Python script for Megatron-Bridge's ``pretrain``, and read the model from the script. Pure."""

from __future__ import annotations

import ast
import json
from typing import Any

from autoresearch.errors import ConfigError
from autoresearch.report.export.header import build_header
from autoresearch.report.export.mapping import Code, Value, fields_of
from autoresearch.report.export.recipe import Recipe

TESTED_VERSION = "0.6.2"
TEST_STATUS = (
    f"Written for megatron-bridge {TESTED_VERSION} (pip install 'megatron-bridge=={TESTED_VERSION}'): other versions "
    "rename fields. This training has not been tested on a GPU. Tested on a CPU, with a fake Transformer Engine: its "
    "ConfigContainer accepts and validates such a configuration, and its GPTModelProvider builds the model."
)
# The sections of ConfigContainer, in its order, and the class of each.
SECTIONS = {
    "model": "GPTModelProvider",
    "train": "TrainingConfig",
    "validation": "ValidationConfig",
    "optimizer": "OptimizerConfig",
    "scheduler": "SchedulerConfig",
    "ddp": "DistributedDataParallelConfig",
    "dataset": "GPTDatasetConfig",
    "tokenizer": "TokenizerConfig",
    "checkpoint": "CheckpointConfig",
    "logger": "LoggerConfig",
    "rng": "RNGConfig",
    "dist": "DistributedInitConfig",
    "mixed_precision": "MixedPrecisionConfig",
}


def render_script(recipe: Recipe) -> str:
    """The text of the script, which is run under torchrun with the environment variable DATA."""
    fields = fields_of(recipe)
    sections = [_section(name, fields.get(name, {})) for name in SECTIONS]
    return TEMPLATE.format(
        header=build_header(recipe, TEST_STATUS),
        world=recipe.world,
        impl=recipe.impl,
        sections="\n".join(sections),
        local=ONLY_TE if recipe.precision == "fp8" else LOCAL,
    )


def _section(name: str, fields: dict[str, Value]) -> str:
    if not fields and name == "mixed_precision":
        return "    mixed_precision=None,"
    lines = [f"        {field}={_literal(value)}," for field, value in fields.items()]
    call = f"    {name}={SECTIONS[name]}("
    return "\n".join([call, *lines, "    ),"]) if lines else f"{call}),"


def _literal(value: Value) -> str:
    if isinstance(value, Code):
        return value
    return json.dumps(value) if isinstance(value, str) else repr(value)


def model_arguments(text: str) -> dict[str, Any]:
    """``TransformerConfig``'s fields with ``vocab_size`` and ``seq_length``, as the script passes them to the provider.

    The script is parsed, not run. Raises ``ConfigError`` if it does not build a GPTModelProvider.
    """
    calls = {
        call.func.id: {k.arg: k.value for k in call.keywords if k.arg}
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
    }
    try:
        model = {name: _value(node) for name, node in calls["GPTModelProvider"].items()}
        precision = {name: _value(node) for name, node in calls.get("MixedPrecisionConfig", {}).items()}
        if model.pop("activation_func") != "F.gelu" or model.pop("gated_linear_unit"):
            raise ValueError("the activation is not GELU")
        divisor = model.pop("make_vocab_size_divisible_by") * model.pop("tensor_model_parallel_size")
        rows = -(-model["vocab_size"] // divisor) * divisor if model.pop("should_pad_vocab") else model["vocab_size"]
        model.pop("transformer_layer_spec")
    except (KeyError, ValueError, TypeError) as e:
        raise ConfigError(f"the script does not define a model: {e!r}", hint="export it again") from e
    fp8 = {name: value for name, value in precision.items() if name in ("fp8", "fp8_recipe")}
    return {**model, **fp8, "bf16": bool(precision.get("bf16")), "vocab_size": rows}


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


LOCAL = """\
config.model.gradient_accumulation_fusion = False  # these three need Apex
    config.model.persist_layer_norm = False
    config.model.masked_softmax_fusion = False"""
ONLY_TE = 'raise SystemExit("fp8 needs IMPL=transformer_engine")'

TEMPLATE = """\
{header}
#
# DATA=DIR torchrun --nproc-per-node {world} THIS_FILE
#
# DATA is the directory written by: autoresearch export dataset CORPUS --out DIR

import os

import torch
import torch.nn.functional as F
from megatron.bridge.models.gpt_provider import GPTModelProvider, local_layer_spec, transformer_engine_layer_spec
from megatron.bridge.training.config import (
    CheckpointConfig,
    ConfigContainer,
    DistributedInitConfig,
    GPTDatasetConfig,
    LoggerConfig,
    OptimizerConfig,
    RNGConfig,
    SchedulerConfig,
    TokenizerConfig,
    TrainingConfig,
    ValidationConfig,
)
from megatron.bridge.training.mixed_precision import MixedPrecisionConfig
from megatron.core.distributed import DistributedDataParallelConfig

DATA = os.environ["DATA"]
IMPL = os.environ.get("IMPL", "{impl}")  # transformer_engine or local
SPECS = {{"transformer_engine": transformer_engine_layer_spec, "local": local_layer_spec}}

config = ConfigContainer(
{sections}
)
if IMPL == "local":
    {local}

if __name__ == "__main__":
    from megatron.bridge.training.gpt_step import forward_step
    from megatron.bridge.training.pretrain import pretrain

    pretrain(config, forward_step)
"""
