"""The study that Optuna itself reads back."""

from __future__ import annotations

import sys

import pytest

from autoresearch.core.records import Baseline, CandidateTried, Evaluated
from autoresearch.errors import JournalError, MissingPackage
from autoresearch.report.audit.read_optuna import read_optuna
from autoresearch.report.trial_export import write_optuna
from autoresearch.report.trial_export.optuna_study import distribution

optuna = pytest.importorskip("optuna")


def study_of(records, path):
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    write_optuna(iter(records), path)
    storage = JournalStorage(JournalFileBackend(str(path)))
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage)


def test_a_trial_for_the_baseline_and_for_each_candidate_that_was_tried(everything, tmp_path):
    study = study_of(everything, tmp_path / "study.log")
    assert (study.study_name, study.direction.name) == ("night-1", "MINIMIZE")
    assert [t.state.name for t in study.trials] == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL", "PRUNED"]
    assert [t.value for t in study.trials] == [3.4, pytest.approx(3.37), pytest.approx(3.3955), None, None]
    assert [t.user_attrs["iter"] for t in study.trials] == [0, 1, 2, 3, 5]
    assert [t.user_attrs["seeds"] for t in study.trials] == [[0], [0, 1], [0], [0], [0]]
    assert [t.user_attrs.get("decision") for t in study.trials] == [None, "keep", "revert", None, "revert"]
    assert [t.user_attrs["role"] for t in study.trials] == ["baseline", *["candidate"] * 4]
    assert study.trials[4].user_attrs["label"] == "stopped early"
    assert study.trials[3].user_attrs["cause"] == "out_of_memory"
    assert study.trials[1].params["lr"] == 0.001
    assert study.best_trial.number == 1
    assert study.metric_names == ["val_bpb"]
    assert study.user_attrs["profile"] == "tiny"


def test_the_distributions_are_the_menus(everything, tmp_path):
    knobs = everything[0].menu["knobs"]
    found = study_of(everything, tmp_path / "study.log").trials[1].distributions
    assert list(found) == list(knobs)
    for name, entry in knobs.items():
        if "choices" in entry:
            assert list(found[name].choices) == entry["choices"]
        else:
            assert (found[name].low, found[name].high) == (entry["low"], entry["high"])
            assert found[name].log == entry.get("log", False)
    assert found["lr"].log


def test_labels_and_times_of_a_real_run(sequential_night, tmp_path):
    study = study_of(sequential_night, tmp_path / "study.log")
    judged = [r for r in sequential_night if isinstance(r, Evaluated)]
    assert [t.user_attrs["label"] for t in study.trials[1:]] == [r.evidence.label for r in judged]
    assert [t.value for t in study.trials[1:]] == [r.val_bpb for r in judged]
    assert [t.user_attrs["seeds"] for t in study.trials[1:]] == [list(r.evidence.seeds) for r in judged]
    assert all(t.datetime_start <= t.datetime_complete for t in study.trials)


def test_a_metric_that_is_better_higher(accuracy_night, tmp_path):
    study = study_of(accuracy_night, tmp_path / "study.log")
    assert (study.direction.name, study.metric_names) == ("MAXIMIZE", ["accuracy"])
    assert [t.value for t in study.trials] == [0.5, 0.75]
    assert study.trials[1].user_attrs["change"] == "lr = 0.001, beta1 = 0.95"
    assert (study.trials[1].params["lr"], study.trials[1].params["beta1"]) == (0.001, 0.95)


def test_the_audit_reads_it(everything, tmp_path):
    study_of(everything, tmp_path / "study.log")
    log = read_optuna(tmp_path / "study.log")
    assert (log.direction, log.baseline, len(log.entries)) == ("lower", (3.4,), 4)
    assert [entry.kept for entry in log.entries] == [True, False, False, False]


@pytest.mark.parametrize(
    ("entry", "values", "expected"),
    [
        ({"type": "int", "low": 1, "high": 8}, (2, 2), "IntDistribution(high=8, log=False, low=1, step=1)"),
        ({"type": "int", "low": 1, "high": 8, "log": True}, (2, 9), "IntDistribution(high=9, log=True, low=1, step=1)"),
        (
            {"type": "float", "low": 0.1, "high": 1, "log": True},
            (0.5, 0.0),
            "FloatDistribution(high=1.0, log=False, low=0.0, step=None)",
        ),
        ({"type": "choice", "choices": [4, 8]}, (8, 6), "CategoricalDistribution(choices=(4, 8, 6))"),
    ],
)
def test_a_baseline_outside_of_the_menu_extends_it(entry, values, expected):
    assert repr(distribution(entry, values)) == expected


def test_a_baseline_outside_of_the_menu_is_in_every_trial(everything, tmp_path):
    def moved(cfg):
        return {**cfg, "n_layer": 1000, "precision": "fp64"}

    records = [everything[0].model_copy(update={"baseline_cfg": moved(everything[0].baseline_cfg)})]
    for record in everything[1:]:
        match record:
            case Baseline():
                record = record.model_copy(update={"baseline_cfg": moved(record.baseline_cfg)})
            case CandidateTried():
                record = record.model_copy(update={"candidate_cfg": moved(record.candidate_cfg)})
        records.append(record)
    study = study_of(records, tmp_path / "study.log")
    assert {t.params["n_layer"] for t in study.trials} == {1000}
    assert {t.params["precision"] for t in study.trials} == {"fp64"}


def test_a_run_without_a_baseline_is_refused(everything, tmp_path):
    with pytest.raises(JournalError, match="no measurement yet"):
        write_optuna(everything[:2], tmp_path / "study.log")


def test_without_optuna_its_extra_is_named(everything, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingPackage, match=r"autoresearch\[tpe\]"):
        write_optuna(everything, tmp_path / "study.log")
