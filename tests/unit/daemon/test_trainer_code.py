"""The code that trials run is an input: an upgrade or an edit during the run is named, a reinstall is none."""

from __future__ import annotations

import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from autoresearch.daemon.inputs import Inputs
from autoresearch.daemon.trainer_code import PACKAGE, watch_trainer_code
from autoresearch.trials import trainers

NAME, MODULE = "some-Trainer.kit", "some_trainer_kit"


def install(site: Path, version: str, body: str = "") -> None:
    """As pip does: the old metadata goes, files are replaced, the new metadata comes last."""
    for old in site.glob("some_Trainer_kit-*.dist-info"):
        shutil.rmtree(old)
    (site / MODULE).mkdir(exist_ok=True)
    (site / MODULE / "__init__.py").write_text(body)
    metadata = site / f"some_Trainer_kit-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n")
    (metadata / "RECORD").write_text(f"{MODULE}/__init__.py,sha256={hash(body)},{len(body)}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of installed packages, one of which a trainer runs."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)
    spec = trainers.TRAINERS["torch"]
    table = {"torch": replace(spec, distributions=((NAME, MODULE), ("not-installed", "not_installed")))}
    monkeypatch.setattr("autoresearch.daemon.trainer_code.TRAINERS", table)
    install(site, "1.0")
    return site


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of this package's source."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "autoresearch", ignore=shutil.ignore_patterns("__pycache__")))


def watched(package: Path = PACKAGE) -> Inputs:
    inputs = Inputs()
    watch_trainer_code(inputs, "torch", package)
    assert inputs.change() == ""
    return inputs


def test_an_upgrade_is_reported_with_both_versions(site: Path) -> None:
    inputs = watched()
    install(site, "1.1", "x = 1")
    change = inputs.change()
    assert f"the package {NAME} has changed during the run (version 1.0 then, 1.1 now)" in change
    assert str(site) in change


def test_the_moment_in_which_pip_has_removed_the_old_version_is_a_change(site: Path) -> None:
    inputs = watched()
    shutil.rmtree(next(site.glob("*.dist-info")))
    assert "version 1.0 then, not installed now" in inputs.change()


@pytest.mark.parametrize("body", ["", "x = 2"], ids=["the same files", "other files"])
def test_the_same_version_again_is_a_change_only_if_its_files_differ(site: Path, body: str) -> None:
    inputs = watched()
    install(site, "1.0", body)
    change = inputs.change()
    assert bool(change) == bool(body)
    assert not body or "(version 1.0, installed again)" in change


def test_an_edited_first_file_is_a_change(site: Path) -> None:
    inputs = watched()
    (site / MODULE / "__init__.py").write_text("x = 3")
    assert str(site / MODULE / "__init__.py") in inputs.change()


@pytest.mark.parametrize(
    "name", ["training/evaluate.py", "training/models/gpt_torch.py", "trials/spec.py", "data/span.py"]
)
def test_an_edit_of_the_training_code_is_a_change(site: Path, package: Path, name: str) -> None:
    inputs = watched(package)
    file = package / name
    text = file.read_text()
    file.write_text(text)
    assert inputs.change() == "", "the same bytes"
    file.write_text(f"{text}\n# edited\n")
    assert f"{file} has changed since the run read it" in inputs.change()


def test_other_code_and_compiled_files_are_not_watched(site: Path, package: Path) -> None:
    inputs = watched(package)
    (package / "report" / "text.py").write_text("")
    (package / "training" / "__pycache__").mkdir()
    (package / "training" / "__pycache__" / "evaluate.cpython-311.pyc").write_bytes(b"x")
    assert inputs.change() == ""


def test_the_packages_of_the_trainers_are_found_where_they_are_installed() -> None:
    pytest.importorskip("torch", reason="trainer torch is not installed")
    inputs = Inputs()
    watch_trainer_code(inputs, "megatron")
    places = {(package.name, path.name) for path, package in inputs._packages.items()}
    assert {("torch", "RECORD"), ("torch", "__init__.py")} <= places
    if find_spec("megatron"):
        assert {("megatron-core", "RECORD"), ("megatron-core", "__init__.py")} <= places
