"""The settings and scripts under docs/examples: they resolve, and what they hand over is what their script accepts."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from autoresearch.config.resolve import resolve
from autoresearch.config.settings import Settings
from autoresearch.daemon.policy import build_policy
from autoresearch.trials.command.handover import hand_over

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
NEMO = EXAMPLES / "nemo"


def settings_of(file: Path) -> Settings:
    return resolve({"menu_file": str(file.parent / "menu.json")}, {}, file).settings


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/*.toml")), ids=lambda file: f"{file.parent.name}/{file.name}")
def test_the_settings_of_an_example_fit_its_menu(file: Path) -> None:
    settings = settings_of(file)
    policy = build_policy(settings)
    assert set(policy.menu.knobs) <= set(policy.baseline)
    assert settings.command.argv is not None
    assert not policy.menu.check_config(policy.baseline, policy.steps)


def test_a_config_file_of_nanogpt_seeds_torch_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As nanoGPT executes it: in the globals of train.py, which seeds afterwards with its fixed number."""
    seeds: list[int] = []
    names = {"torch": SimpleNamespace(manual_seed=seeds.append)}
    monkeypatch.setenv(str(settings_of(EXAMPLES / "nanogpt/autoresearch.toml").command.seed_env), "7")
    exec((EXAMPLES / "nanogpt/seeded.py").read_text(), names)
    names["torch"].manual_seed(1337 + 0)
    assert seeds == [1344]


@pytest.fixture(scope="module")
def pretrain() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nemo_pretrain", NEMO / "pretrain.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)  # imports nothing of NeMo
    return module


def arguments(pretrain: ModuleType, file: str, tmp_path: Path, **changes: Any) -> Any:
    """What the script parses of the words that a trial of the example would be started with."""
    settings = settings_of(NEMO / file)
    cfg = {**build_policy(settings).baseline, **changes}
    words = hand_over(settings.command, cfg, 3, settings.budget.size, tmp_path, dict(os.environ)).argv
    return pretrain.parse(list(words[2:]))


@pytest.mark.parametrize("file", ["autoresearch.toml", "cpu.toml"])
def test_nemos_script_accepts_each_knob_of_its_menu(pretrain: ModuleType, file: str, tmp_path: Path) -> None:
    args = arguments(pretrain, file, tmp_path, max_lr=0.002, num_layers=3)
    settings = settings_of(NEMO / file)
    assert (args.max_lr, args.num_layers, args.seed, args.max_steps) == (0.002, 3, 3, settings.budget.size)
    assert args.out == tmp_path
    baseline = build_policy(settings).baseline
    assert {name: getattr(args, name) for name in baseline} == {**baseline, "max_lr": 0.002, "num_layers": 3}


def test_the_menu_of_nemo_begins_at_the_scripts_defaults(pretrain: ModuleType) -> None:
    defaults = vars(pretrain.parse([]))
    menu = build_policy(settings_of(NEMO / "autoresearch.toml")).menu
    assert menu.defaults == {name: defaults[name] for name in menu.knobs}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of NeMo's imports
def test_nemo_builds_the_recipe_of_a_configuration(pretrain: ModuleType, tmp_path: Path) -> None:
    """Needs an environment of its own: ``pip install 'autoresearch[nemo,test]'``."""
    if importlib.util.find_spec("nemo") is None or importlib.util.find_spec("nemo_run") is None:
        pytest.skip("NeMo is not installed here: extra nemo, in an environment of its own")
    (tmp_path / "dataset.json").write_text('{"vocab": 2048}')
    for split in ("train", "val"):
        for end in ("bin", "idx"):
            (tmp_path / f"{split}.{end}").write_bytes(b"")
    args = arguments(pretrain, "cpu.toml", tmp_path, max_lr=0.002, num_layers=3, dropout=0.1)
    args.data = tmp_path
    recipe = pretrain.build_recipe(args)
    model, optim = recipe.model.config, recipe.optim.config
    assert (model.num_layers, model.hidden_size, model.hidden_dropout, model.attention_dropout) == (3, 128, 0.1, 0.1)
    assert (optim.lr, optim.adam_beta2, recipe.optim.lr_scheduler.min_lr) == (0.002, 0.95, 0.0002)
    assert (recipe.trainer.max_steps, recipe.trainer.accelerator) == (20, "cpu")
    assert (recipe.data.seed, recipe.data.tokenizer.vocab_size) == (3, 2047)
    strategy = recipe.trainer.strategy
    assert (strategy.tensor_model_parallel_size, strategy.pipeline_model_parallel_size) == (1, 1)
    args.device = "gpu"
    recipe = pretrain.build_recipe(args)
    assert recipe.trainer.accelerator == "gpu"
    assert recipe.optim.config.bf16, "mixed precision, as the recipe has it"
