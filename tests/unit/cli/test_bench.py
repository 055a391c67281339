"""``autoresearch bench``: its table, its JSON and what it refuses."""

from __future__ import annotations

import json

import pytest

from autoresearch.daemon import fresh_trials
from autoresearch.testing.fake_backend import fake_backend

SMALL = ("--nights", "3", "--proposals", "10")


def test_aa_prints_every_noise_correlation_and_rule(cli):
    code, out, err = cli("bench", "aa", *SMALL)
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split()[:4] == ["noise", "rho", "gain", "rule"]
    assert len(lines) == 1 + 3 * 4 * 4 + 3
    assert {line.split()[3] for line in lines[1:49]} == {"sequential", "threshold", "best_so_far", "mean_minus_sd"}
    assert "3 nights of 10 proposals" in out
    assert err.splitlines()[-1] == "12/12: t3, correlation 0.95, gain 0%"


def test_json_is_the_same_for_the_same_seed_and_progress_is_not_in_it(cli):
    first, again, other = (cli("bench", "aa", *SMALL, "--json", "--seed", s)[1] for s in ("1", "1", "2"))
    assert first == again != other
    cell = json.loads(first)["cells"][0]
    assert cell["rule"] == "sequential"
    assert (cell["noise"], cell["rho"], cell["gain"], cell["power"]) == ("gaussian", 0, 0, None)


def test_planted_has_a_power_at_each_gain_and_the_record_rule_beside_ours(cli, tmp_path):
    (tmp_path / "noise.csv").write_text("group,value\na,1\na,1.002\nb,3\nb,3.01\n")
    _, out, _ = cli("bench", "planted", *SMALL, "--noise", "noise.csv", "--json")
    cells = json.loads(out)["cells"]
    assert {c["gain"] for c in cells} == {0.0025, 0.005, 0.01, 0.02}
    assert {c["noise"] for c in cells} == {"file"}
    assert {c["rule"] for c in cells} >= {"sequential", "record"}
    assert all(0 <= c["power"] <= 1 for c in cells)


def test_a_run_gives_the_cost_of_a_true_keep_in_seconds(cli, finished):
    _, out, _ = cli("bench", "planted", *SMALL, "--run", str(finished))
    head, row = out.splitlines()[0], next(line for line in out.splitlines() if " 2%  threshold" in line)
    assert head.split()[-2:] == ["s/keep", "J/keep"]
    assert row.split()[-2].isdecimal()
    assert row.split()[-1] == "-"  # the fake trial has no joules


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "the first line is '', without a column group"),
        (b"a,b\n1,2\n", "'a,b', without a column group"),
        (b"group,value\na,1\nb,2\n", "each of 2 groups has one value: noise needs repeats"),
        (b"group,value\na,1\na,inf\n", "line 3: the value 'inf' is not a finite number"),
        (b"group,value\na,1\na,\xff\n", "byte 18 is not UTF-8"),
        (b"group,value\na,1,1\n", "line 2 has 3 cells, the first line 2"),
    ],
)
def test_a_noise_file_that_cannot_be_used_is_named_with_its_problem(cli, tmp_path, content, problem):
    (tmp_path / "noise.csv").write_bytes(content)
    code, out, err = cli("bench", "aa", "--noise", "noise.csv")
    assert (code, out) == (66, "")
    assert err.startswith("autoresearch: noise.csv: ")
    assert problem in err
    assert "try: " in err


def test_a_noise_file_that_is_too_large_is_not_read(cli, tmp_path, monkeypatch):
    monkeypatch.setattr("autoresearch.cli.bench.MAX_NOISE_BYTES", 1 << 20)
    (tmp_path / "noise.csv").write_text("group,value\n" + "a,1\n" * 300_000)
    code, _, err = cli("bench", "aa", "--noise", "noise.csv")
    assert code == 66
    assert "noise.csv: larger than 1 MiB" in err


@pytest.mark.parametrize("name", ["missing.csv", "."])
def test_a_noise_file_that_cannot_be_opened_is_named(cli, name):
    code, _, err = cli("bench", "planted", "--noise", name)
    assert code == 66
    assert f"cannot read {name}: " in err


@pytest.mark.parametrize(
    "flags",
    [("--nights", "0"), ("--nights", "1e9"), ("--proposals", "-1"), ("--sd", "0"), ("--sd", "nan"), ("--seed", "x")],
)
def test_a_number_out_of_range_is_a_usage_error(cli, flags, capsys):
    with pytest.raises(SystemExit) as e:
        cli("bench", "aa", *flags)
    assert e.value.code == 2


def test_real_null_trials_are_measured_once_and_are_the_noise(cli, monkeypatch):
    monkeypatch.setattr(fresh_trials, "real_backend", fake_backend)
    flags = ("bench", "aa", *SMALL, "--trials", "4", "--dir", "nulls", "--json")
    code, out, err = cli(*flags)
    assert code == 0
    assert {c["noise"] for c in json.loads(out)["cells"]} == {"real"}
    assert "null trial 4/4: seed 1003, val_bpb " in err
    assert "4 null trials: standard deviation " in err
    _, again, err = cli(*flags)
    assert again == out
    assert "null trial 4/4" not in err


def test_two_noises_are_refused(cli):
    code, _, err = cli("bench", "aa", "--trials", "4", "--noise", "x.csv")
    assert code == 78
    assert "--trials and --noise each name a noise" in err


def test_a_real_gain_is_measured_and_judged(cli, monkeypatch):
    monkeypatch.setattr(fresh_trials, "real_backend", fake_backend)
    flags = ("bench", "planted", "--trials", "6", "--bad", "lr=3e-4", "--set", "baseline.lr=3e-3", "--dir", "planted")
    code, out, err = cli(*flags)
    assert code == 0
    assert out.startswith("true gain    lr = 0.003 instead of 0.0003: +")
    assert "sequential   kept in 1000 of 1000 orders" in out
    assert "threshold    kept with 6 of 6 seeds" in out
    assert "trial 12/12: lr = 0.003, seed 3005" in err
    _, out, _ = cli(*flags, "--json")
    real = json.loads(out)["real"]
    assert (real["seeds"], real["power"], real["threshold_power"]) == (6, 1, 1)


def test_a_bad_value_without_trials_is_refused(cli):
    code, _, err = cli("bench", "planted", "--bad", "lr=3e-4")
    assert code == 78
    assert "--trials is missing" in err
