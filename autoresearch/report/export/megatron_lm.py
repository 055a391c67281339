"""Render a recipe as a bash script for Megatron-LM's ``pretrain_gpt.py``, and read its flags and model back. Pure."""

from __future__ import annotations

import re
import shlex
from typing import Any

from autoresearch.errors import ConfigError
from autoresearch.report.export.header import build_header
from autoresearch.report.export.mapping import FIXED, KNOBS, Code, Value
from autoresearch.report.export.recipe import Recipe

TESTED_VERSION = "core_v0.16.1"
TEST_STATUS = (
    f"This training has not been tested on a GPU. Tested on a CPU: Megatron-LM {TESTED_VERSION} parses and validates "
    "such flags, and its model_provider builds the model, with the right names and sizes."
)
Parsed = str | bool | list[str]


def render_script(recipe: Recipe) -> str:
    """The text of the script. It needs bash, torchrun and two variables, and passes further flags to Megatron-LM."""
    return TEMPLATE.format(
        header=build_header(recipe, TEST_STATUS),
        tested=TESTED_VERSION,
        vocab=recipe.vocab,
        impl=recipe.impl,
        local=ONLY_TE if recipe.precision == "fp8" else LOCAL,
        flags=_flag_lines(recipe),
        connections=CONNECTIONS if recipe.tensor_parallel > 1 else "",
        world=recipe.world,
    )


def _flag_lines(recipe: Recipe) -> str:
    rows = []
    for entry in KNOBS:
        words = " ".join(_words(flag, value) for flag, value in entry.flags(recipe).items())
        rows.append(f"  {words}  # {entry.knob}" if words else f"  # {entry.knob}: Megatron's default")
    for entry in FIXED:
        rows += [f"  # {entry.knob.strip('()')}", *(f"  {_words(*flag)}" for flag in entry.flags(recipe).items())]
    return "\n".join(rows)


def _words(flag: str, value: Value | tuple[Value, ...]) -> str:
    values = () if value is True else value if isinstance(value, tuple) else (value,)
    return " ".join([f"--{flag}", *map(_word, values)])


def _word(value: Value) -> str:
    return f'"{value}"' if isinstance(value, Code) else shlex.quote(str(value))


def parse_flags(text: str) -> dict[str, Parsed]:
    """The flags that the script passes to Megatron-LM, by name without dashes; variables are not expanded.

    A flag without a value is ``True``, one with several values a list. Raises ``ConfigError`` without a FLAGS array.
    """
    found = re.search(r"^FLAGS=\(\n(.*?)^\)$", text, re.MULTILINE | re.DOTALL)
    if not found:
        raise ConfigError("the script has no FLAGS=( ... )", hint="export it again")
    flags: dict[str, list[str]] = {}
    for word in shlex.split(found[1], comments=True):
        if word.startswith("--"):
            flags[word.removeprefix("--")] = values = []
        else:
            values.append(word)
    return {name: values[0] if len(values) == 1 else values or True for name, values in flags.items()}


def model_arguments(text: str) -> dict[str, Any]:
    """``TransformerConfig``'s fields with ``vocab_size`` and ``seq_length``, from the flags in the script.

    Follows ``core_transformer_config_from_args`` and ``gpt_builder``. Raises ``ConfigError`` for a missing flag.
    """
    flags = parse_flags(text)
    vocab = re.search(r"^VOCAB=(\d+)$", text, re.MULTILINE)
    if not vocab:
        raise ConfigError("the script has no VOCAB=...", hint="export it again")
    try:
        tensor_parallel = int(str(flags["tensor-model-parallel-size"]))
        divisor = int(str(flags["make-vocab-size-divisible-by"])) * tensor_parallel
        fp8 = {"fp8": flags["fp8-format"], "fp8_recipe": flags["fp8-recipe"]} if "fp8-format" in flags else {}
        return {
            **{field: kind(flags[flag]) for flag, (field, kind) in MODEL_FLAGS.items()},
            **fp8,
            "add_bias_linear": "disable-bias-linear" not in flags,
            "bias_activation_fusion": "no-bias-gelu-fusion" not in flags,
            "bf16": "bf16" in flags,
            "share_embeddings_and_output_weights": "untie-embeddings-and-output-weights" not in flags,
            "vocab_size": -(-int(vocab[1]) // divisor) * divisor,
        }
    except (KeyError, ValueError, TypeError) as e:
        raise ConfigError(f"the flags of the script do not define a model: {e!r}", hint="export it again") from e


MODEL_FLAGS: dict[str, tuple[str, Any]] = {
    "num-layers": ("num_layers", int),
    "num-attention-heads": ("num_attention_heads", int),
    "hidden-size": ("hidden_size", int),
    "ffn-hidden-size": ("ffn_hidden_size", int),
    "max-position-embeddings": ("seq_length", int),
    "position-embedding-type": ("position_embedding_type", str),
    "normalization": ("normalization", str),
    "norm-epsilon": ("layernorm_epsilon", float),
    "attention-dropout": ("attention_dropout", float),
    "hidden-dropout": ("hidden_dropout", float),
    "init-method-std": ("init_method_std", float),
}

LOCAL = "FLAGS+=(--no-persist-layer-norm --no-masked-softmax-fusion --no-gradient-accumulation-fusion)  # without Apex"
ONLY_TE = """\
echo "fp8 needs IMPL=transformer_engine" >&2
    exit 2"""
CONNECTIONS = "export CUDA_DEVICE_MAX_CONNECTIONS=1  # Megatron requires it for tensor parallelism\n"

TEMPLATE = """\
#!/usr/bin/env bash
{header}
#
# MEGATRON_LM=DIR DATA=DIR bash THIS_FILE [more flags of pretrain_gpt.py, for example --save DIR --save-interval 100]

set -euo pipefail

: "${{MEGATRON_LM:?the directory of a Megatron-LM checkout, {tested} or newer}}"
: "${{DATA:?the directory written by: autoresearch export dataset CORPUS --out DIR}}"
IMPL=${{IMPL:-{impl}}}  # the layers: transformer_engine, or local (Megatron's own: no fp8, true fp32)

for file in "$MEGATRON_LM/pretrain_gpt.py" "$DATA/train.idx" "$DATA/val.idx"; do
  [ -f "$file" ] || {{ echo "$file does not exist" >&2; exit 2; }}
done

VOCAB={vocab}
# Up to version 0.17 NullTokenizer of Megatron-core adds one id to --vocab-size.
version=$MEGATRON_LM/megatron/core/package_info.py
major=$(sed -n 's/^MAJOR = \\([0-9]*\\).*/\\1/p' "$version")
minor=$(sed -n 's/^MINOR = \\([0-9]*\\).*/\\1/p' "$version")
NULL_VOCAB=$VOCAB
if [ "${{major:?not found in $version}}" -eq 0 ] && [ "${{minor:?not found in $version}}" -lt 18 ]; then
  NULL_VOCAB=$((VOCAB - 1))
fi

FLAGS=(
{flags}
)
case $IMPL in
  transformer_engine) ;;
  local)
    {local}
    ;;
  *)
    echo "IMPL=$IMPL is neither transformer_engine nor local" >&2
    exit 2
    ;;
esac

{connections}exec torchrun --nproc-per-node {world} "$MEGATRON_LM/pretrain_gpt.py" \\
  "${{FLAGS[@]}}" --transformer-impl "$IMPL" "$@"
"""
