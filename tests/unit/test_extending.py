"""docs/extending.md names only what exists, and an addition that misses one of its places fails here."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import get_args

import pytest

from autoresearch.benches.suites import SUITES
from autoresearch.cli.settings import RUN_FLAGS
from autoresearch.config.resolve import profile_names, resolve
from autoresearch.config.settings import Settings
from autoresearch.core.power import Method
from autoresearch.core.records import file_schema
from autoresearch.daemon.policy import build_policy
from autoresearch.energy import sensors
from autoresearch.energy.sensors import select
from autoresearch.report.energy import METHODS
from rails import STRUCTURAL_KNOBS, default_menu

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/extending.md").read_text()
README = (ROOT / "README.md").read_text()
USAGE = (ROOT / "docs/usage.md").read_text()
HELP = {setting: text for _, setting, _, text in RUN_FLAGS}
ALL_METHODS = get_args(Method)
SENSOR_MODULES = [p for p in Path(sensors.__path__[0]).glob("*.py") if p.stem not in ("__init__", "sensor", "select")]


def choices(setting: str) -> set[str]:
    """The values that a setting of a ``Literal`` type takes."""
    return set(get_args(Settings.model_fields[setting].annotation))


# The page itself.


def test_every_path_on_the_page_exists() -> None:
    paths = re.findall(r"`((?:autoresearch|rails|tests|docs)/[\w/.]*|\w+\.(?:md|json|toml))`", PAGE)
    assert len(paths) > 30
    assert [p for p in paths if not (ROOT / p).exists()] == []


def test_every_test_on_the_page_exists() -> None:
    named = re.findall(r"`(test_\w+)`", PAGE)
    assert len(named) >= 8
    assert [name for name in named if name not in globals()] == []


def test_every_place_is_held_by_a_test() -> None:
    rows = re.findall(r"^\| .* \| .* \| (.*) \|$", PAGE, re.MULTILINE)
    assert len(rows) > 30
    assert all("test_" in held_by for held_by in rows if held_by != "held by")


# A knob.


@pytest.mark.parametrize("profile", sorted({*profile_names()} - {"command"}))  # whose menu is the user's
def test_every_profile_has_a_baseline_value_for_every_knob(profile: str) -> None:
    settings = resolve({"profile": profile}, {}).settings
    structural = set(STRUCTURAL_KNOBS) if profile == "tiny-wide" else set()
    assert set(settings.baseline) == set(default_menu().knobs) | structural
    assert structural <= set(build_policy(settings).menu.knobs)


# A proposer.


@pytest.mark.parametrize("name", sorted(choices("proposer")))
def test_every_proposer_is_in_the_readme_and_in_the_usage(name: str) -> None:
    (listed,) = re.findall(r"--proposer ([a-z|-]+)", README)
    assert name in listed.split("|")
    assert re.search(rf"^\| `{name}` \| \w", USAGE.split("## Proposers")[1], re.MULTILINE)


# A trainer.


@pytest.mark.parametrize("name", sorted(choices("trainer")))
def test_every_trainer_is_in_the_help_and_in_the_gpu_page(name: str) -> None:
    assert re.search(rf"\b{name}\b", HELP["trainer"])
    assert f"`{name}`" in (ROOT / "docs/gpu.md").read_text()


# A record.


@pytest.mark.parametrize("stage", list(file_schema()["discriminator"]["mapping"]))
def test_every_record_is_in_the_schema_and_on_its_page(stage: str) -> None:
    assert f'"{stage}"' in (ROOT / "docs/trajectory.schema.json").read_text()
    page = (ROOT / "docs/trajectory.md").read_text()
    assert re.search(rf"^\| [^|]*`{stage}`[^|]* \| \w", page, re.MULTILINE)


# A sensor.


@pytest.mark.parametrize("method", sorted({*ALL_METHODS} - {"none"}))
def test_every_method_has_a_sensor(method: str) -> None:
    assert any(f'"{method}"' in module.read_text() for module in SENSOR_MODULES)


@pytest.mark.parametrize("module", SENSOR_MODULES, ids=lambda path: path.stem)
def test_every_sensor_is_selectable(module: Path) -> None:
    opened = import_module(f"autoresearch.energy.sensors.{module.stem}")
    assert getattr(select, f"open_{module.stem}") is getattr(opened, f"open_{module.stem}")


def test_every_method_has_words_in_the_report() -> None:
    assert set(METHODS) == {*ALL_METHODS, "mixed"} - {"none"}


@pytest.mark.parametrize("module", SENSOR_MODULES, ids=lambda path: path.stem)
def test_every_sensor_is_on_the_energy_page(module: Path) -> None:
    page = (ROOT / "docs/energy.md").read_text().lower()
    assert module.stem.replace("_", "-") in page


# A suite.


@pytest.mark.parametrize("name", sorted(SUITES))
def test_every_suite_is_on_the_page_of_the_benches(name: str) -> None:
    page = (ROOT / "docs/benches.md").read_text()
    assert re.search(rf"^\| `{name}` \| \w", page, re.MULTILINE)


# A command.


def test_every_command_has_a_module() -> None:
    from autoresearch.cli.main import COMMANDS

    cli = ROOT / "autoresearch/cli"
    defines_add = {p.stem for p in cli.glob("*.py") if re.search(r"^def add\(commands\b", p.read_text(), re.MULTILINE)}
    assert set(COMMANDS.values()) == defines_add


def test_every_tracker_is_everywhere() -> None:
    import tomllib
    from typing import get_args

    from autoresearch.cli.export_trackers import KINDS
    from autoresearch.config.secrets import TRACKER_SECRETS
    from autoresearch.config.settings import Settings
    from autoresearch.daemon.tracking.child import FOLDERS
    from autoresearch.report.trackers import STREAMED, TRACKERS

    root = Path(__file__).parents[2]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert list(KINDS) == list(TRACKERS)
    assert {spec.extra for spec in TRACKERS.values()} <= set(extras)
    named = {name for part in get_args(Settings.model_fields["track"].annotation) for name in get_args(part)}
    assert named == set(STREAMED) == set(TRACKER_SECRETS) == set(FOLDERS)
