"""A package that a run needs and lacks is reported before anything slow, with the one extra that brings them all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch.config.settings import Settings
from autoresearch.daemon import service
from autoresearch.daemon.packages import refuse_missing_proposer, refuse_missing_trainer
from autoresearch.errors import MissingPackage
from autoresearch.storage.run_dir import CORPUS
from autoresearch.testing.recording_observer import RecordingObserver

Without = Callable[..., None]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Without:
    """Makes packages appear as not installed."""

    def hide(*names: str) -> None:
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    return hide


@pytest.mark.parametrize("proposer", ["auto", "hybrid", "tpe", "random"])
def test_with_the_core_alone_one_extra_makes_a_run_possible(make_settings, without: Without, proposer: str) -> None:
    without("torch", "optuna", "tokenizers", "openai", "bokeh", "jinja2")
    settings: Settings = make_settings(proposer=proposer, corpus="stdlib")
    with pytest.raises(MissingPackage) as refusal:
        service.run(settings, RecordingObserver())
    assert "pip install 'autoresearch[run]'" in refusal.value.hint
    assert not (settings.run_dir / CORPUS).exists(), "it is reported before the corpus is prepared"


def test_the_command_names_that_extra_too(tmp_path: Path, without: Without, monkeypatch, capsys) -> None:
    from autoresearch.cli import main

    monkeypatch.chdir(tmp_path)
    without("torch", "optuna", "tokenizers", "openai")
    assert main(["run", "--profile", "tiny"]) == MissingPackage.exit_code
    assert capsys.readouterr().err.count("pip install 'autoresearch[run]'") == 1


def test_every_missing_package_is_listed_once(make_settings, without: Without) -> None:
    without("torch", "tokenizers")
    with pytest.raises(MissingPackage, match="needs the packages torch, tokenizers"):
        refuse_missing_trainer(make_settings({"tokenizer.kind": "bpe"}), prepares_corpus=True)
    with pytest.raises(MissingPackage, match="needs the package torch\\n"):
        refuse_missing_trainer(make_settings({"tokenizer.kind": "bpe"}), prepares_corpus=False)


@pytest.mark.parametrize("missing", [["megatron", "megatron.core"], ["megatron", "megatron.core", "torch"]])
def test_megatron_needs_two_extras(make_settings, without: Without, missing: list[str]) -> None:
    without(*missing)
    with pytest.raises(MissingPackage) as refusal:
        refuse_missing_trainer(make_settings(trainer="megatron"), prepares_corpus=False)
    assert "'autoresearch[run,megatron]'" in refusal.value.hint


def test_a_proposer_without_packages_needs_none(make_settings, without: Without) -> None:
    without("optuna", "openai")
    for proposer in ("random", "trust-region", "auto"):
        refuse_missing_proposer(make_settings(proposer=proposer))
    for proposer in ("hybrid", "nim", "tpe"):
        with pytest.raises(MissingPackage, match=f"proposer {proposer} needs the package"):
            refuse_missing_proposer(make_settings(proposer=proposer))


@pytest.mark.parametrize(("kind", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_cluster_without_its_package_is_refused_before_anything_slow(
    make_settings, without: Without, kind: str, package: str
) -> None:
    without(package)
    settings: Settings = make_settings({"executor.kind": kind, "threads": 1, "device": "cpu"}, corpus="stdlib")
    with pytest.raises(MissingPackage, match=f"executor.kind = '{kind}' needs the package {package}") as refusal:
        service.run(settings, RecordingObserver())
    assert f"pip install 'autoresearch[{kind}]'" in refusal.value.hint
    assert not (settings.run_dir / CORPUS).exists()
