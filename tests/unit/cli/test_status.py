"""``autoresearch report A B``: two runs by their directories, and what cannot be compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from autoresearch.storage.run_dir import TRAJECTORY, hold


@pytest.fixture
def other(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run: the same records in another directory."""
    return Path(shutil.copytree(finished, tmp_path / "other"))


def test_two_runs_are_compared_as_text_and_json(cli, finished, other):
    code, out, _ = cli("report", str(finished), str(other))
    assert code == 0
    assert out.startswith(f"A: {finished}, run ")
    assert "Same yardstick, same baseline configuration, same rule" in out
    assert "Both have the same run id" in out
    code, out, _ = cli("report", str(finished), str(other / TRAJECTORY), "--json")
    assert code == 0
    assert json.loads(out)["same_yardstick"] is True
    assert json.loads(out)["b"]["path"] == str(other / TRAJECTORY)


def test_the_comparison_can_be_written_to_a_file(cli, finished, other, tmp_path):
    code, out, _ = cli("report", str(finished), str(other), "--out", str(tmp_path / "compared.txt"))
    assert (code, out) == (0, "")
    assert (tmp_path / "compared.txt").read_text().startswith("A: ")


@pytest.mark.parametrize("again", ["{run}", "{run}/trajectory.jsonl", "{run}/../link"])
def test_one_run_named_twice_is_refused(cli, finished, again):
    (finished.parent / "link").symlink_to(finished)
    code, out, err = cli("report", str(finished), again.format(run=finished))
    assert (code, out) == (78, "")
    assert "are the same run" in err


def test_a_run_that_is_not_there_is_named(cli, finished, tmp_path):
    for pair in ((finished, tmp_path / "no"), (tmp_path / "no", finished)):
        code, _, err = cli("report", *map(str, pair))
        assert code == 74
        assert f"{tmp_path / 'no'} does not exist" in err


def test_a_live_run_is_compared_and_called_live(cli, finished, other):
    with hold(other):
        code, out, _ = cli("report", str(finished), str(other))
    assert code == 0
    assert "B is running now: its figures can still change." in out
    assert "A is running now" not in out


def test_the_page_of_two_runs_needs_a_place(cli, finished, other, tmp_path):
    code, _, err = cli("report", str(finished), str(other), "--html")
    assert code == 78
    assert "--out is not given" in err
    code, out, _ = cli("report", str(finished), str(other), "--html", "--out", str(tmp_path / "both.html"))
    assert (code, out) == (0, f"{tmp_path / 'both.html'}\n")
    assert (tmp_path / "both.html").read_text().startswith("<!DOCTYPE html>")
    code, _, err = cli("report", str(finished), str(other), "--html", "--out", "x.html", "--price-per-kwh", "0.3")
    assert code == 78
    assert "two are named" in err
