"""``autoresearch run``, and ``status`` and ``report`` of what it left."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from autoresearch import errors
from autoresearch.storage.journal import read
from autoresearch.storage.run_dir import PAGE, REPORT, TRAJECTORY


def run_flags(run_dir: Path, iters: int = 3, reports: str = "text") -> list[str]:
    text_only = ["--decision", "threshold", *(["--set", 'reports=["text"]'] if reports == "text" else [])]
    return ["run", "--dir", str(run_dir), "--proposer", "random", *text_only, "--iters", str(iters)]


def test_status_and_report_of_a_finished_run_as_json(cli, finished):
    for command in ("status", "report"):
        code, out, err = cli(command, str(finished), "--json")
        summary = json.loads(out)
        assert (code, err) == (0, "")
        assert summary["iterations"] == 3
        assert summary["evaluated"] == summary["keeps"] + summary["reverts"] == 3
        assert summary["knobs_total"] == 13


def test_a_bare_trajectory_file_can_be_looked_at_too(cli, finished, tmp_path):
    copy = tmp_path / "elsewhere.jsonl"
    copy.write_bytes((finished / TRAJECTORY).read_bytes())
    assert cli("status", str(copy), "--json")[1] == cli("status", str(finished), "--json")[1]


def test_a_report_for_people_names_every_iteration_and_can_go_to_a_file(cli, finished, tmp_path):
    code, out, _ = cli("report", str(finished))
    assert code == 0
    proposals = [
        (fields["proposal"]["knob"], fields["iter"])
        for fields in map(json.loads, read(finished / TRAJECTORY).payloads)
        if fields["stage"] == "evaluated"
    ]
    assert len(proposals) == 3
    for knob, number in proposals:
        assert re.search(rf"^ *{number} .*{knob}", out, re.MULTILINE)

    file = tmp_path / "report.txt"
    assert cli("report", str(finished), "--out", str(file))[:2] == (0, "")
    assert file.read_text() == out
    code, _, err = cli("report", str(finished), "--out", str(tmp_path / "nowhere" / "report.txt"))
    assert code == 1
    assert "cannot write" in err


def test_the_run_leaves_a_report_beside_its_trajectory(cli, finished):
    assert (finished / REPORT).read_text() == cli("report", str(finished))[1]


def test_the_page_is_left_beside_it_and_is_written_again_with_the_same_bytes(cli, finished_with_page, tmp_path):
    finished = finished_with_page
    page = (finished / PAGE).read_bytes()
    assert cli("report", str(finished), "--html") == (0, f"{finished / PAGE}\n", "")
    assert (finished / PAGE).read_bytes() == page
    elsewhere = tmp_path / "for my colleagues.html"
    assert cli("report", str(finished / TRAJECTORY), "--html", "--out", str(elsewhere))[0] == 0
    assert elsewhere.read_bytes() == page


def test_a_report_that_was_not_written_is_when_the_finished_run_is_opened_again(cli, finished_with_page):
    finished = finished_with_page
    (finished / PAGE).unlink()
    text = (finished / REPORT).stat().st_mtime_ns
    assert cli(*run_flags(finished, reports="both"))[0] == 0
    assert (finished / PAGE).exists()
    assert (finished / REPORT).stat().st_mtime_ns == text


def test_without_its_extra_the_page_is_refused_with_the_way_to_get_it(cli, finished, monkeypatch):
    for name in [n for n in sys.modules if n.startswith("autoresearch.report.html")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "bokeh", None)
    code, _, err = cli("report", str(finished), "--html")
    assert code == errors.MissingPackage.exit_code
    assert "pip install 'autoresearch[report]'" in err


@pytest.mark.parametrize("price", ["nan", "-1", "much"])
def test_a_price_is_a_number_that_can_be_paid(cli, finished, capsys, price):
    with pytest.raises(SystemExit):
        cli("report", str(finished), "--html", f"--price-per-kwh={price}")
    assert price in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--price-per-kwh=0.3", "--currency=EUR"])
def test_a_price_that_would_not_be_shown_is_refused(cli, finished, flag):
    code, out, err = cli("report", str(finished), flag)
    assert (code, out) == (errors.ConfigError.exit_code, "")
    assert "--html is not given" in err


def test_running_a_finished_run_again_shows_it_and_how_to_go_further(cli, finished):
    before = (finished / TRAJECTORY).read_bytes()
    code, out, err = cli(*run_flags(finished))
    assert (code, err) == (0, "")
    assert str(finished / TRAJECTORY) in out
    assert str(finished / REPORT) in out
    again = out.splitlines()[-1]
    assert again.startswith("to go further: ")
    assert f"--dir {finished}" in again
    assert again.endswith("--iters 6")
    assert (finished / TRAJECTORY).read_bytes() == before

    code, out, _ = cli(*run_flags(Path(os.path.relpath(finished))))
    assert f"--dir {finished} " in out.splitlines()[-1]  # it works from any directory

    code, out, _ = cli(*run_flags(finished), "--json")
    assert (code, json.loads(out)["iterations"]) == (0, 3)


def test_replaying_a_trajectory_that_is_not_there_is_refused(cli, tmp_path):
    code, _, err = cli("run", "--proposer", "replay", "--replay-from", str(tmp_path / "nowhere"))
    assert code == 74
    assert "nowhere" in err
    assert not (tmp_path / "runs").exists()  # nothing was begun
