"""The model that an exported script describes is the trial's: built from the script's own text with Megatron-core."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from math import prod
from typing import Any

import pytest
import torch

from autoresearch.errors import MissingPackage
from autoresearch.report.export import FORMATS
from autoresearch.report.export.recipe import Recipe, RecipeSource, check_cfg
from autoresearch.training.models.exported_model import parameter_shapes
from autoresearch.training.models.gpt_megatron import MegatronGPT, TransformerConfig, transformer_config
from autoresearch.training.parallel.ranks import Ranks
from autoresearch.trials.spec import Budget

ORIGIN = {
    "n_layer": 24, "n_head": 16, "d_model": 1024, "d_ff": 4096, "lr": 3e-4, "lr_warmup": 5, "grad_clip": 1.0,
    "weight_decay": 0.0, "beta1": 0.9, "beta2": 0.95, "batch_size": 16, "seq_len": 1024, "precision": "bf16",
}  # fmt: skip
SMALL = {**ORIGIN, "n_layer": 2, "n_head": 4, "d_model": 64, "d_ff": 128, "seq_len": 32, "precision": "fp32"}
WIDE = {**SMALL, "n_layer": 1, "n_head": 1, "d_model": 48, "d_ff": 512, "seq_len": 100}


def build_recipe(cfg: dict[str, Any], vocab: int, tensor_parallel: int = 1, fp8_recipe: str = "tensorwise") -> Recipe:
    source = RecipeSource("run", "tiny", "megatron", "0" * 64, Budget(kind="steps", size=60), 1, "lr = 1", 1.0, 2.0, 60)
    return Recipe(check_cfg(cfg), vocab, 60, 0, 1, tensor_parallel, fp8_recipe, source)


@pytest.fixture(autouse=True, scope="module")
def deterministic() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp8"])
@pytest.mark.parametrize(("cfg", "vocab"), [(ORIGIN, 50257), (SMALL, 257), (WIDE, 4096)], ids=["354m", "small", "wide"])
def test_it_has_the_trials_parameters(form, precision, cfg, vocab):
    recipe = build_recipe({**cfg, "precision": precision}, vocab)
    built = parameter_shapes(FORMATS[form].model_arguments(FORMATS[form].render_script(recipe)))
    assert sum(map(prod, built.values())) == recipe.shape.params
    if vocab == 50257:
        assert recipe.shape.params == 354_601_984


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("cfg", "vocab"), [(SMALL, 257), (WIDE, 4096)], ids=["small", "wide"])
def test_its_weights_have_the_names_and_sizes_of_the_trials(form, cfg, vocab):
    recipe = build_recipe(cfg, vocab)
    device = torch.device("cpu")
    built = parameter_shapes(
        FORMATS[form].model_arguments(FORMATS[form].render_script(recipe))
    )  # it joins the one rank that is
    ours = MegatronGPT(recipe.shape, "fp32", device, Ranks(), "tensorwise")
    assert built == {name: tuple(w.shape) for name, w in ours.gpt.named_parameters()}


@pytest.mark.parametrize("form", FORMATS)
def test_ranks_that_share_the_vocabulary_fill_it_up(form):
    recipe = build_recipe(SMALL, 257, tensor_parallel=2)
    built = parameter_shapes(FORMATS[form].model_arguments(FORMATS[form].render_script(recipe)))
    assert built["embedding.word_embeddings.weight"] == (258, 64)
    assert sum(map(prod, built.values())) == recipe.shape.params


HOW_IT_IS_RUN = {
    "perform_initialization",
    "use_cpu_initialization",
    "deterministic_mode",
    "tensor_model_parallel_size",
    "disable_parameter_transpose_cache",
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp8"])
@pytest.mark.parametrize("fp8_recipe", ["tensorwise", "delayed", "blockwise", "mxfp8"])
def test_its_configuration_is_the_trials_in_every_field(form, precision, fp8_recipe, monkeypatch):
    """Whatever the trial's trainer sets or leaves at Megatron's default (fp8 included), the script does too."""
    recipe = build_recipe({**SMALL, "precision": precision}, 257, fp8_recipe=fp8_recipe)
    built: list[TransformerConfig] = []
    after_init = TransformerConfig.__post_init__

    def remember(self: TransformerConfig) -> None:
        after_init(self)
        built.append(self)

    monkeypatch.setattr(TransformerConfig, "__post_init__", remember)
    parameter_shapes(FORMATS[form].model_arguments(FORMATS[form].render_script(recipe)))
    exported = vars(built[0])
    trial = vars(
        transformer_config(recipe.shape, precision=precision, on_cuda=False, tensor_parallel=1, fp8_recipe=fp8_recipe)
    )
    functions = {name for name, value in trial.items() if callable(value) and name != "activation_func"}
    differing = {name for name in trial if exported[name] != trial[name]} - HOW_IT_IS_RUN - functions
    assert not differing, {name: (exported[name], trial[name]) for name in differing}


def test_checking_again_and_again_opens_nothing_more():
    recipe = build_recipe(SMALL, 257)
    arguments = FORMATS["megatron-lm"].model_arguments(FORMATS["megatron-lm"].render_script(recipe))
    parameter_shapes(arguments)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        parameter_shapes(arguments)
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_megatron_the_extra_is_named(monkeypatch):
    for name in [n for n in sys.modules if n.partition(".")[0] == "megatron"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "megatron", None)
    with pytest.raises(MissingPackage, match=r"autoresearch\[megatron\]"):
        parameter_shapes({})
