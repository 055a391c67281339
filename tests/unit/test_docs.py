"""The documents know everything that the code has: a new command, record, cause or exit code fails here until told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from autoresearch import errors
from autoresearch.cli import EXIT_CODES, build_parser
from autoresearch.cli.settings import RUN_FLAGS
from autoresearch.config.resolve import profile_names, resolve, setting_names
from autoresearch.core.llm_calls import Classification, Exchange, LlmCall
from autoresearch.core.measurement import Cause, Mark
from autoresearch.core.power import PHASES, Metering, Power
from autoresearch.core.records import file_schema
from rails import Rail

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TRAJECTORY = (ROOT / "docs/trajectory.md").read_text()


def commands() -> list[str]:
    actions = build_parser()._subparsers
    assert actions is not None
    return list(actions._group_actions[0].choices or ())


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_the_readme(command: str) -> None:
    assert re.search(rf"^    autoresearch {command}\b", README, re.MULTILINE)


@pytest.mark.parametrize("stage", list(file_schema()["discriminator"]["mapping"]))
def test_every_record_is_explained(stage: str) -> None:
    assert f"`{stage}`" in TRAJECTORY


@pytest.mark.parametrize("cause", list(Cause))
def test_every_cause_of_failure_is_listed(cause: Cause) -> None:
    assert f"`{cause}`" in TRAJECTORY


@pytest.mark.parametrize("classification", list(Classification))
def test_every_way_in_which_a_call_can_end_is_explained(classification: Classification) -> None:
    assert re.search(rf"^\| `{classification}` \| \w", TRAJECTORY, re.MULTILINE)


@pytest.mark.parametrize("name", sorted({*Exchange.model_fields, *LlmCall.model_fields, "spare"}))
def test_every_field_of_a_call_is_explained(name: str) -> None:
    assert re.search(rf"[`\s]{name}\b", TRAJECTORY)


@pytest.mark.parametrize("rail", [r for r in Rail if r is not Rail.PASSED])
def test_every_rail_is_named_in_the_readme(rail: Rail) -> None:
    assert rail in README


def test_every_exit_code_is_documented_in_all_three_places() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.AutoresearchError)]
    for kind in kinds:
        for place in (README, EXIT_CODES, errors.__doc__ or ""):
            assert re.search(rf"\b{kind.exit_code}\b", place), f"{kind.__name__}: {kind.exit_code}"


def test_every_setting_says_what_it_is() -> None:
    from autoresearch.config.resolve import flat_settings

    rows = flat_settings(resolve({}, {}))
    assert {name for name, *_ in rows} >= set(setting_names()) - {"baseline", "menu"}
    assert all(about for name, _, _, about in rows)


def test_every_profile_is_named_in_the_help() -> None:
    (help_text,) = (text for flag, *_, text in RUN_FLAGS if flag == "--profile")
    assert all(name in help_text for name in profile_names())


def test_every_module_is_on_the_map() -> None:
    architecture = (ROOT / "docs/architecture.md").read_text()
    rooms = {p.stem if p.suffix else p.name for p in (ROOT / "autoresearch").iterdir() if not p.name.startswith("__")}
    assert all(re.search(rf"`{room}(\.py|/)`", architecture) for room in rooms), rooms


DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS += sorted((ROOT / "evidence").rglob("*.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_link_is_dead_and_nothing_waits_to_be_filled_in(document: Path) -> None:
    text = document.read_text()
    assert "@@" not in text.replace("@@ -", "")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in target or (document.parent / target).exists(), target


@pytest.mark.parametrize("name", sorted({*Power.model_fields, *Metering.model_fields, *PHASES, *get_args(Mark)}))
def test_every_field_and_phase_of_the_energy_is_explained(name: str) -> None:
    assert f"`{name}`" in TRAJECTORY
