"""The check of the setting ``track``."""

from __future__ import annotations

from autoresearch.daemon.doctor.tracker import tracker


def test_a_missing_library_fails_with_its_extra(monkeypatch):
    monkeypatch.setattr("autoresearch.report.trackers.table.find_spec", lambda _name: None)
    check = tracker("mlflow")
    assert (check.name, check.state, check.exit_code) == ("tracker", "fail", 69)
    assert "autoresearch[mlflow]" in check.hint


def test_an_installed_one_passes(monkeypatch):
    monkeypatch.setattr("autoresearch.report.trackers.table.find_spec", lambda _name: object())
    assert tracker("trackio").state == "ok"
