"""The documents cover what the code has: an undocumented command, record, cause, rail or exit code fails here."""

from __future__ import annotations

import argparse
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

from autoresearch import errors
from autoresearch.benches.records import BenchMeta, BenchTrial, Ended, Grade, Unavailable
from autoresearch.cli import EXIT_CODES, build_parser
from autoresearch.cli.settings import RUN_FLAGS
from autoresearch.config.resolve import profile_names, resolve, setting_names
from autoresearch.core.llm_calls import Classification, Exchange, LlmCall
from autoresearch.core.measurement import Cause, Mark
from autoresearch.core.power import PHASES, Metering, Power
from autoresearch.core.records import file_schema
from autoresearch.core.values import FrozenModel
from rails import Rail

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
USAGE = (ROOT / "docs/usage.md").read_text()
TRAJECTORY = (ROOT / "docs/trajectory.md").read_text()
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
INDEX = (ROOT / "docs/README.md").read_text()
BENCHES = (ROOT / "docs/benches.md").read_text()


def commands() -> list[str]:
    actions = build_parser()._subparsers
    assert actions is not None
    return list(actions._group_actions[0].choices or ())


def test_every_command_is_in_the_readme() -> None:
    assert [
        command for command in commands() if not re.search(rf"^    autoresearch {command}\b", README, re.MULTILINE)
    ] == []


def test_every_command_is_in_the_usage() -> None:
    table = USAGE.split("## Commands")[1].split("\n## ")[0]
    assert [
        command for command in commands() if not re.search(rf"^\| `.*\b{command}\b.*` \| \w", table, re.MULTILINE)
    ] == []


def test_every_record_is_explained() -> None:
    assert [stage for stage in list(file_schema()["discriminator"]["mapping"]) if f"`{stage}`" not in TRAJECTORY] == []


def test_every_cause_of_failure_is_listed() -> None:
    assert [cause for cause in list(Cause) if f"`{cause}`" not in TRAJECTORY] == []


def test_every_way_in_which_a_call_can_end_is_explained() -> None:
    assert [
        classification
        for classification in list(Classification)
        if not re.search(rf"^\| `{classification}` \| \w", TRAJECTORY, re.MULTILINE)
    ] == []


def test_every_field_of_a_call_is_explained() -> None:
    assert [
        name
        for name in sorted({*Exchange.model_fields, *LlmCall.model_fields, "spare"})
        if not re.search(rf"[`\s]{name}\b", TRAJECTORY)
    ] == []


def test_every_rail_is_named_in_the_readme() -> None:
    assert [rail for rail in [r for r in Rail if r is not Rail.PASSED] if rail not in README] == []


def test_every_exit_code_is_documented_in_all_three_places() -> None:
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, errors.AutoresearchError)]
    for kind in kinds:
        for place in (EXIT_CODES, errors.__doc__ or ""):
            assert re.search(rf"\b{kind.exit_code}\b", place), f"{kind.__name__}: {kind.exit_code}"
        assert re.search(rf"^\| {kind.exit_code} \| \w", USAGE, re.MULTILINE), f"{kind.__name__}: {kind.exit_code}"


def test_every_setting_says_what_it_is() -> None:
    from autoresearch.config.resolve import flat_settings

    rows = flat_settings(resolve({}, {}))
    assert {name for name, *_ in rows} >= set(setting_names()) - {"baseline", "menu"}
    assert all(about for name, _, _, about in rows)


def test_every_profile_is_named_in_the_help() -> None:
    (help_text,) = (text for flag, *_, text in RUN_FLAGS if flag == "--profile")
    assert all(name in help_text for name in profile_names())


def test_every_module_is_on_the_map() -> None:
    rooms = {p.stem if p.suffix else p.name for p in (ROOT / "autoresearch").iterdir() if not p.name.startswith("__")}
    rooms.discard("py")  # py.typed
    assert all(re.search(rf"`{room}(\.py|/)`", ARCHITECTURE) for room in rooms), rooms


def package_table() -> list[tuple[str, str]]:
    """The rows of the table of packages: the package's path below the repository, and its description."""
    table = ARCHITECTURE.split("| package | owns |")[1].split("\n\n")[0]
    rows = re.findall(r"^\| `([\w/.]+)` \| (.+) \|$", table, re.MULTILINE)
    return [(name if name == "rails/" else f"autoresearch/{name}", owns) for name, owns in rows]


def test_every_path_of_the_package_table_exists() -> None:
    rows = package_table()
    assert len(rows) >= 16
    for package, owns in rows:
        assert (ROOT / package).exists(), package
        for named in re.findall(r"`([\w/]+(?:/|\.py))`", owns):
            assert (ROOT / package / named).exists(), f"{package}: {named}"


def test_every_file_named_on_the_map_exists() -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", ARCHITECTURE))
    files = [str(path.relative_to(ROOT)) for path in (ROOT / "autoresearch").rglob("*.py")]
    files += [str(path.relative_to(ROOT)) for path in (ROOT / "rails").glob("*.py")]
    assert len(named) > 10
    assert [name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in files)] == []


def test_every_package_below_a_room_is_in_the_package_table() -> None:
    described = dict(package_table())
    for init in (ROOT / "autoresearch").glob("*/*/__init__.py"):
        room = f"autoresearch/{init.parent.parent.name}/"
        assert f"`{init.parent.name}/`" in described[room], f"{room}{init.parent.name}"


def test_the_layers_of_the_map_are_those_that_make_check_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (c["layers"] for c in contracts if c["type"] == "layers")
    drawn = [line for line in ARCHITECTURE.splitlines() if re.match(r"    [a-z]+( [|:] [a-z]+)*   ", line)]
    held = [sorted(re.findall(r"[a-z]+", layer.replace("autoresearch.", ""))) for layer in layers]
    assert [sorted(re.findall(r"[a-z]+", line.strip().split("   ")[0])) for line in drawn] == held


def test_the_readme_fits_on_a_few_screens_and_draws_every_room() -> None:
    assert len(README.splitlines()) <= 200
    tree = README.split("## Where things are")[1].split("\n## ")[0]
    rooms = [p.parent.name for p in (ROOT / "autoresearch").glob("*/__init__.py")]
    assert rooms
    assert all(re.search(rf"^      {room}/ +\w", tree, re.MULTILINE) for room in rooms)


def test_every_page_is_in_the_index() -> None:
    for page in (ROOT / "docs").glob("*.*"):
        if page.name != "README.md":
            assert re.search(rf"^\| \[{re.escape(page.name)}\]\({re.escape(page.name)}\) \| \w", INDEX, re.MULTILINE), (
                page.name
            )


DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS += sorted((ROOT / "evidence").rglob("*.md"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_link_is_dead_and_nothing_waits_to_be_filled_in(document: Path) -> None:
    text = document.read_text()
    assert "@@" not in text.replace("@@ -", "")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert "://" in target or (document.parent / target).exists(), target


def test_every_promise_names_tests_that_exist() -> None:
    text = (ROOT / "docs/safety.md").read_text()
    rows = [row for row in re.findall(r"^\| (.+) \| (.+) \|$", text, re.MULTILINE) if row[0] not in ("promise", "---")]
    assert len(rows) >= 20
    for promise, held_by in rows:
        files = re.findall(r"`(tests/[\w/]+\.py)`", held_by)
        assert files, promise
        assert [file for file in files if not (ROOT / file).is_file()] == [], promise


def test_every_make_target_of_the_safety_page_exists() -> None:
    targets = re.findall(r"\bmake ([a-z-]+)`?", (ROOT / "docs/safety.md").read_text())
    makefile = (ROOT / "Makefile").read_text()
    assert {"rails-fuzz", "kills"} <= set(targets)
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_every_field_and_phase_of_the_energy_is_explained() -> None:
    assert [
        name
        for name in sorted({*Power.model_fields, *Metering.model_fields, *PHASES, *get_args(Mark)})
        if f"`{name}`" not in TRAJECTORY
    ] == []


BENCH_RECORDS = (BenchMeta, BenchTrial, Grade, Unavailable, Ended)


@pytest.mark.parametrize("record", BENCH_RECORDS, ids=lambda r: r.__name__)
def test_every_record_of_a_bench_run_is_explained_with_its_fields(record: type[FrozenModel]) -> None:
    stage = record.model_fields["stage"].default
    (row,) = re.findall(rf"^\| `{stage}` \| \w.*$", BENCHES, re.MULTILINE)
    assert [name for name in record.model_fields if name not in ("stage", "ts") and f"`{name}`" not in row] == []


def test_every_flag_of_bench_run_is_explained() -> None:
    from autoresearch.cli.bench_run import add_flags

    parser = argparse.ArgumentParser()
    add_flags(parser, "samples")
    flags = {flag for action in parser._actions for flag in action.option_strings} - {
        "-h",
        "--help",
        "--config",
        "--set",
    }
    assert [flag for flag in sorted(flags) if not re.search(rf"`{flag}\b", BENCHES)] == []


def test_every_extra_is_in_the_table_of_extras() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    table = USAGE.split("## Extras")[1].split("\n## ")[0]
    rows = {
        name
        for line in table.splitlines()
        for name in re.findall(r"`([a-z-]+)`", line.split("|")[1:2][0] if line[:3] == "| `" else "")
    }
    assert rows == set(extras)
