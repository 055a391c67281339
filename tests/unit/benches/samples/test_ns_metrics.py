"""metrics.json: percentages become fractions, and nothing is computed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.samples.ns_metrics import read_metrics, rows_of
from autoresearch.errors import CorpusError


def write(path: Path, value: Any) -> Path:
    file = path / "metrics.json"
    file.write_text(json.dumps(value))
    return file


def test_rates_are_percentages_and_statistics_are_fractions(tmp_path: Path) -> None:
    statistics = {"avg": 0.7, "std_dev_across_runs": 0.14, "std_err_across_runs": 0.08}
    mode = {"num_entries": 30, "avg_tokens": 9574, "gen_seconds": 829, "symbolic_correct": 82.92, "no_answer": 0.0}
    file = write(tmp_path, {"aime24": {"pass@1[avg-of-8]": mode | {"symbolic_correct_statistics": statistics}}})
    (row,) = read_metrics(file)
    assert (row["benchmark"], row["mode"]) == ("aime24", "pass@1[avg-of-8]")
    assert row["metrics"]["symbolic_correct"] == {"value": pytest.approx(0.8292), "unit": "fraction"}
    assert row["metrics"]["num_entries"] == {"value": 30, "unit": "number"}
    assert row["metrics"]["no_answer"] == {"value": 0.0, "unit": "fraction"}
    assert row["statistics"] == {"symbolic_correct": statistics}


def test_the_groups_of_bfcl_are_nested_deeper(tmp_path: Path) -> None:
    value = {
        "bfcl_v3": {
            "overall_accuracy": {"accuracy": 67.03, "num_entries": 4441},
            "live_single_turn": {"overall_live": {"accuracy": 82.05, "num_entries": 2251}},
        }
    }
    rows = read_metrics(write(tmp_path, value))
    assert [(row["benchmark"], row["mode"]) for row in rows] == [
        ("bfcl_v3", "overall_accuracy"),
        ("bfcl_v3", "live_single_turn overall_live"),
    ]
    assert rows[0]["metrics"]["accuracy"]["value"] == pytest.approx(0.6703)


def test_what_is_neither_a_rate_nor_a_count_is_shown_as_it_is(tmp_path: Path) -> None:
    value = {"arena-hard": {"pass@1": {"num_entries": 10, "score": 21.28, "95_CI": [-10.6, 8.5], "no_answer": 180.0}}}
    (row,) = read_metrics(write(tmp_path, value))
    assert row["metrics"]["score"] == {"value": 21.28, "unit": "number"}
    assert row["metrics"]["95_CI"] == {"value": "[-10.6, 8.5]", "unit": "text"}
    assert row["metrics"]["no_answer"]["unit"] == "number"  # counted once per method by older versions


def test_the_rows_of_a_benchmark_its_subsets_and_its_group() -> None:
    rows = [{"benchmark": name} for name in ("math", "math-aime24", "math-500", "ruler", "gpqa")]
    assert [row["benchmark"] for row in rows_of(rows, ["math", "ruler.niah"])] == [
        "math",
        "math-aime24",
        "math-500",
        "ruler",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "metrics.json"),
        ("[]", "object"),
        ("{}", "no figures"),
        ('{"a": {"b": {"c": 1}}}', "no figures of"),
        ('{"a": {"num_entries": NaN}}', "NaN"),
        ('{"a": {"num_entries": 1e999}}', "not a finite number"),
        ('{"a": {"num_entries": 1, "b": {"c": 1}}}', "a.b: figures beside an object"),
        ('{"a":' * 9 + "{}" + "}" * 9, "nested more than"),
        ("[" * 100_000, "nested"),
    ],
)
def test_a_file_of_another_form_is_named(tmp_path: Path, content: str, message: str) -> None:
    file = tmp_path / "metrics.json"
    file.write_text(content)
    with pytest.raises(CorpusError, match=message) as e:
        read_metrics(file)
    assert str(file) in e.value.what


def test_a_missing_or_binary_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(b"\xff\xfe")
    for name in ("b.json", "none.json"):
        with pytest.raises(CorpusError, match=name):
            read_metrics(tmp_path / name)
