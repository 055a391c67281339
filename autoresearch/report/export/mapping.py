"""Each knob and each fixed setting as Megatron-LM flags and as Megatron-Bridge fields, one entry each. Pure.

The names were checked against Megatron-LM core_v0.16.1 (``megatron/training/arguments.py``) and Megatron-Bridge 0.6.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from autoresearch.report.export.recipe import Recipe

EVAL_ITERS = 10


class Code(str):
    """Written into the script unquoted in Python, and in double quotes in bash, where variables are expanded."""

    __slots__ = ()


Value = int | float | str | None
Flags = Mapping[str, Value | tuple[Value, ...]]  # True: a flag without a value
Fields = Mapping[str, Value]  # "section.field" of ConfigContainer


@dataclass(frozen=True, slots=True)
class MappingEntry:
    """The flags and fields of one knob; a ``knob`` in parentheses is a group of fixed settings, not a knob."""

    knob: str
    flags: Callable[[Recipe], Flags]
    fields: Callable[[Recipe], Fields]


def _number(knob: str, flag: str, *fields: str) -> MappingEntry:
    """A knob whose value is passed unchanged."""
    return MappingEntry(knob, lambda r: {flag: r.cfg[knob]}, lambda r: dict.fromkeys(fields, r.cfg[knob]))


def _precision_flags(recipe: Recipe) -> Flags:
    if recipe.precision == "fp32":
        return {}
    # The trial's fp8 settings (training/models/gpt_megatron.py); all others are Megatron's defaults there and here.
    fp8: Flags = {"fp8-format": "hybrid", "fp8-recipe": recipe.fp8_recipe}
    return {"bf16": True, **(fp8 if recipe.precision == "fp8" else {})}


def _precision_fields(recipe: Recipe) -> Fields:
    if recipe.precision == "fp32":
        return {"optimizer.bf16": False}
    bf16: Fields = {
        "optimizer.bf16": True,
        "mixed_precision.bf16": True,
        "mixed_precision.params_dtype": Code("torch.bfloat16"),
        "mixed_precision.pipeline_dtype": Code("torch.bfloat16"),
        "mixed_precision.grad_reduce_in_fp32": True,
    }
    # Bridge's predefined fp8 recipes gather parameters in fp8 or keep two layers out of fp8; the trial did neither.
    fp8: Fields = {"mixed_precision.fp8": "hybrid", "mixed_precision.fp8_recipe": recipe.fp8_recipe}
    return {**bf16, **(fp8 if recipe.precision == "fp8" else {})}


def _warmup(recipe: Recipe) -> dict[str, Value]:
    warmup = recipe.warmup
    return {
        "lr_warmup_iters": warmup.iters,
        "lr_warmup_init": warmup.init_lr(float(recipe.cfg["lr"])),
        "lr_decay_iters": warmup.decay_iters,
    }


KNOBS = (
    _number("n_layer", "num-layers", "model.num_layers"),
    _number("n_head", "num-attention-heads", "model.num_attention_heads"),
    _number("d_model", "hidden-size", "model.hidden_size"),
    _number("d_ff", "ffn-hidden-size", "model.ffn_hidden_size"),
    MappingEntry(
        "seq_len",
        lambda r: {"seq-length": r.cfg["seq_len"], "max-position-embeddings": r.cfg["seq_len"]},
        lambda r: {"model.seq_length": r.cfg["seq_len"], "dataset.seq_length": r.cfg["seq_len"]},
    ),
    MappingEntry(
        "batch_size",
        lambda r: {"micro-batch-size": r.micro_batch, "global-batch-size": r.cfg["batch_size"]},
        lambda r: {"train.micro_batch_size": r.micro_batch, "train.global_batch_size": r.cfg["batch_size"]},
    ),
    _number("lr", "lr", "optimizer.lr"),
    MappingEntry(
        "lr_warmup",
        lambda r: {name.replace("_", "-"): value for name, value in _warmup(r).items()},
        lambda r: {f"scheduler.{name}": value for name, value in _warmup(r).items()},
    ),
    _number("grad_clip", "clip-grad", "optimizer.clip_grad"),
    _number(
        "weight_decay",
        "weight-decay",
        "optimizer.weight_decay",
        "scheduler.start_weight_decay",  # these two take effect
        "scheduler.end_weight_decay",
    ),
    _number("beta1", "adam-beta1", "optimizer.adam_beta1"),
    _number("beta2", "adam-beta2", "optimizer.adam_beta2"),
    MappingEntry("precision", _precision_flags, _precision_fields),
)

FIXED = (
    MappingEntry(
        "(the origin's GPT)",
        lambda _: {
            "use-mcore-models": True,
            "position-embedding-type": "learned_absolute",
            "normalization": "LayerNorm",
            "norm-epsilon": 1e-5,
            "disable-bias-linear": True,
            "no-bias-gelu-fusion": True,  # there is no bias to fuse, and the fused GELU is the tanh approximation
            "attention-dropout": 0.0,
            "hidden-dropout": 0.0,
            "init-method-std": 0.02,
        },
        lambda _: {
            "model.position_embedding_type": "learned_absolute",
            "model.share_embeddings_and_output_weights": True,
            "model.normalization": "LayerNorm",
            "model.layernorm_epsilon": 1e-5,
            "model.activation_func": Code("F.gelu"),
            "model.gated_linear_unit": False,
            "model.bias_activation_fusion": False,
            "model.add_bias_linear": False,
            "model.attention_dropout": 0.0,
            "model.hidden_dropout": 0.0,
            "model.init_method_std": 0.02,
            "model.transformer_layer_spec": Code("SPECS[IMPL]"),
        },
    ),
    MappingEntry(
        "(vocabulary and data)",
        lambda _: {
            "tokenizer-type": "NullTokenizer",
            "vocab-size": Code("$NULL_VOCAB"),
            "make-vocab-size-divisible-by": 1,
            "train-data-path": ("1.0", Code("$DATA/train")),
            "valid-data-path": ("1.0", Code("$DATA/val")),
            "no-create-attention-mask-in-dataloader": True,
        },
        lambda r: {
            "tokenizer.tokenizer_type": "NullTokenizer",
            "tokenizer.vocab_size": r.vocab,
            "model.vocab_size": r.vocab,
            "model.should_pad_vocab": True,
            "model.make_vocab_size_divisible_by": 1,
            "dataset.blend_per_split": Code('[([f"{DATA}/train"], None), ([f"{DATA}/val"], None), None]'),
            "dataset.dataloader_type": "single",
            "dataset.reset_position_ids": False,
            "dataset.reset_attention_mask": False,
            "dataset.eod_mask_loss": False,
        },
    ),
    MappingEntry(
        "(optimizer)",
        lambda _: {"optimizer": "adam", "adam-eps": 1e-8, "lr-decay-style": "cosine", "min-lr": 0.0},
        lambda _: {
            "optimizer.optimizer": "adam",
            "optimizer.adam_eps": 1e-8,
            "optimizer.min_lr": 0.0,
            "optimizer.use_distributed_optimizer": False,
            "scheduler.lr_decay_style": "cosine",
            "scheduler.weight_decay_incr_style": "constant",
            "ddp.use_distributed_optimizer": False,
            "ddp.grad_reduce_in_fp32": True,
            "ddp.check_for_nan_in_grad": True,
        },
    ),
    MappingEntry(
        "(budget)",
        lambda r: {
            "train-iters": r.steps,
            "eval-interval": r.steps,
            "eval-iters": EVAL_ITERS,
            "log-interval": 1,
        },
        lambda r: {
            "train.train_iters": r.steps,
            "validation.eval_interval": r.steps,
            "validation.eval_iters": EVAL_ITERS,
            "logger.log_interval": 1,
        },
    ),
    MappingEntry("(seed)", lambda r: {"seed": r.seed}, lambda r: {"rng.seed": r.seed, "dataset.random_seed": r.seed}),
    MappingEntry(
        "(ranks)",
        lambda r: {"tensor-model-parallel-size": r.tensor_parallel, "pipeline-model-parallel-size": 1},
        lambda r: {"model.tensor_model_parallel_size": r.tensor_parallel},
    ),
)

MAPPING = KNOBS + FIXED


def flags_of(recipe: Recipe) -> dict[str, Value | tuple[Value, ...]]:
    """Every flag of ``pretrain_gpt.py``, without its dashes, and its value."""
    return {flag: value for entry in MAPPING for flag, value in entry.flags(recipe).items()}


def fields_of(recipe: Recipe) -> dict[str, dict[str, Value]]:
    """Every field of Bridge's ``ConfigContainer``, by section."""
    sections: dict[str, dict[str, Value]] = {}
    for entry in MAPPING:
        for path, value in entry.fields(recipe).items():
            section, field = path.split(".")
            sections.setdefault(section, {})[field] = value
    return sections
