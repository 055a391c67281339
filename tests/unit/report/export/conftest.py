"""A recipe to change a little at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from autoresearch.report.export.recipe import Recipe, RecipeSource, check_cfg
from autoresearch.trials.spec import Budget

CFG = {
    "n_layer": 24,
    "n_head": 16,
    "d_model": 1024,
    "d_ff": 4096,
    "lr": 3e-4,
    "lr_warmup": 5,
    "grad_clip": 1.0,
    "weight_decay": 0.1,
    "beta1": 0.9,
    "beta2": 0.95,
    "batch_size": 16,
    "seq_len": 1024,
    "precision": "bf16",
}
ORIGIN = {
    "run_id": "0869a21ceb02",
    "profile": "gb10-354m",
    "trainer": "megatron",
    "corpus_sha256": "c0ffee" + "0" * 58,
    "budget": Budget(kind="steps", size=60),
    "iter": 7,
    "change": "lr = 0.0003",
    "val_bpb": 1.2,
    "baseline_val_bpb": 1.3,
    "trial_steps": 60,
}
MakeRecipe = Callable[..., Recipe]


@pytest.fixture(scope="session")
def make_recipe() -> MakeRecipe:
    """A recipe of the origin's GPT; ``cfg`` and ``source`` change single entries, all else a field."""

    def make(cfg: dict[str, Any] | None = None, source: dict[str, Any] | None = None, **fields: Any) -> Recipe:
        defaults = {"vocab": 50257, "steps": 60, "seed": 1337, "data_parallel": 1, "tensor_parallel": 1}
        return Recipe(
            cfg=check_cfg({**CFG, **(cfg or {})}),
            source=RecipeSource(**{**ORIGIN, **(source or {})}),
            **{**defaults, "fp8_recipe": "tensorwise", **fields},
        )

    return make
