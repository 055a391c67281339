"""The table of trainers agrees with the setting, with the package's extras and with the code that it names."""

from __future__ import annotations

import ast
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import pytest

from autoresearch.config.settings import Settings
from autoresearch.trials.trainers import TRAINERS, TrainerSpec

SPECS = pytest.mark.parametrize("spec", TRAINERS.values(), ids=TRAINERS)


def test_the_setting_allows_exactly_the_trainers_of_the_table_and_a_command() -> None:
    assert get_args(Settings.model_fields["trainer"].annotation) == (*TRAINERS, "command")


@SPECS
@pytest.mark.parametrize("function", ["build_network", "package_versions"])
def test_the_functions_that_it_names_exist(spec: TrainerSpec, function: str) -> None:
    """Read, not imported: Megatron need not be installed."""
    module, _, name = getattr(spec, function).partition(":")
    found = find_spec(module)
    assert found is not None
    assert found.origin is not None
    tree = ast.parse(Path(found.origin).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@SPECS
def test_the_modules_to_preload_exist_and_include_the_network(spec: TrainerSpec) -> None:
    assert all(find_spec(module) for module in spec.preload)
    assert spec.build_network.partition(":")[0] in spec.preload


@SPECS
def test_its_extras_are_those_of_the_package(spec: TrainerSpec) -> None:
    pyproject = Path(__file__).parents[3] / "pyproject.toml"
    assert (
        set(spec.extras.split(",")) <= tomllib.loads(pyproject.read_text())["project"]["optional-dependencies"].keys()
    )


@pytest.mark.parametrize(
    ("installed", "imports_megatron"),
    [
        (set(), True),
        ({"transformer_engine"}, True),
        ({"flash_attn"}, True),
        ({"transformer_engine", "flash_attn"}, False),
    ],
    ids=lambda value: "+".join(sorted(value)) or "neither" if isinstance(value, set) else "",
)
def test_megatron_is_left_to_the_trial_where_its_import_initialises_the_driver(
    installed: set[str], imports_megatron: bool
) -> None:
    def find(package: str) -> bool:
        return package in installed

    megatron, torch = (TRAINERS[name].modules_to_preload(find) for name in ("megatron", "torch"))
    assert ("autoresearch.training.models.gpt_megatron" in megatron) is imports_megatron
    assert "autoresearch.training.models.gpt_torch" in megatron
    assert torch == TRAINERS["torch"].preload
