"""Which files of an ``ns eval`` directory are read, and what is unfinished."""

from __future__ import annotations

from pathlib import Path

import pytest

from autoresearch.benches.samples.ns_files import GREEDY, find_files
from autoresearch.errors import CorpusError


def make(folder: Path, *names: str) -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}\n")
    return folder


@pytest.mark.parametrize("named", [".", "eval-results", "eval-results/aime24"])
def test_the_directory_may_be_named_at_any_level(tmp_path: Path, named: str) -> None:
    make(tmp_path, "eval-results/aime24/output-rs0.jsonl", "eval-results/aime24/output-rs1.jsonl")
    make(tmp_path, "eval-results/aime24-logs/x.log")
    (files,), metrics = find_files([tmp_path / named])
    assert files.name == "aime24"
    assert [(seed, path.name) for seed, path in files.outputs.items()] in (
        [(0, "output-rs0.jsonl"), (1, "output-rs1.jsonl")],
        [(1, "output-rs1.jsonl"), (0, "output-rs0.jsonl")],
    )
    assert (files.seeds, files.unfinished, metrics) == ([0, 1], {}, [])


def test_seeds_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    make(tmp_path, *(f"output-rs{seed}.jsonl" for seed in range(12)))
    (files,), _ = find_files([tmp_path])
    assert files.seeds == list(range(12))


def test_the_greedy_generation_is_one_sample(tmp_path: Path) -> None:
    (files,), _ = find_files([make(tmp_path, "output.jsonl", "output.jsonl.done")])
    assert files.seeds == [GREEDY]


def test_greedy_and_sampled_outputs_together_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "output.jsonl", "output-rs0.jsonl")
    with pytest.raises(CorpusError, match=r"both output.jsonl and output-rs0.jsonl"):
        find_files([tmp_path])
    with pytest.raises(CorpusError, match="both"):
        find_files([tmp_path / "output.jsonl", tmp_path / "output-rs0.jsonl"])
    (files,), _ = find_files([tmp_path / "output-rs0.jsonl"])
    assert files.seeds == [0]


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["output-rs1.jsonl-async"], "output-rs1.jsonl-async is there"),
        (["output-rs1_chunk_0.jsonl"], "output-rs1_chunk_0.jsonl has no .done"),
        (["output-rs1_chunk_0.jsonl", "output-rs1_chunk_0.jsonl.done"], "1 chunk not merged"),
        (
            ["output-rs1_chunk_0.jsonl", "output-rs1_chunk_0.jsonl.done", "output-rs1_chunk_1.jsonl"],
            "output-rs1_chunk_1.jsonl has no .done",
        ),
        (["output-rs1_chunk_1.jsonl-async"], "no output"),
        (["output-rs1_chunk_0.jsonl.done"], "no output"),
        (["output-rs2.jsonl"], "does not exist"),
    ],
)
def test_an_unfinished_seed_stays_planned(tmp_path: Path, names: list[str], why: str) -> None:
    (files,), _ = find_files([make(tmp_path, "output-rs0.jsonl", *names)])
    assert 1 in files.seeds
    assert 1 not in files.outputs
    assert why in files.unfinished[1]


@pytest.mark.parametrize(
    "beside", ["output-rs0.jsonl-async", "output-rs0_chunk_0.jsonl", "output-rs0_chunk_1.jsonl-async"]
)
def test_a_finished_output_beside_a_working_file_is_refused(tmp_path: Path, beside: str) -> None:
    make(tmp_path, "output-rs0.jsonl", beside)
    with pytest.raises(CorpusError, match=r"stands beside output-rs0\.jsonl"):
        find_files([tmp_path])


def test_chunks_that_were_merged_leave_their_done_files(tmp_path: Path) -> None:
    names = [
        "output-rs0.jsonl",
        "output-rs0.jsonl.done",
        "output-rs0_chunk_0.jsonl.done",
        "output-rs0_chunk_1.jsonl.done",
    ]
    (files,), _ = find_files([make(tmp_path, *names)])
    assert (files.seeds, files.unfinished) == ([0], {})


@pytest.mark.parametrize("name", ["output-rs0.jsonl-async", "output-rs0_chunk_0.jsonl"])
def test_a_working_file_by_name_is_refused(tmp_path: Path, name: str) -> None:
    make(tmp_path, name)
    with pytest.raises(CorpusError, match="has not finished"):
        find_files([tmp_path / name])


def test_a_named_output_with_its_working_file_is_refused(tmp_path: Path) -> None:
    make(tmp_path, "output-rs0.jsonl", "output-rs0.jsonl-async")
    with pytest.raises(CorpusError, match="stands beside"):
        find_files([tmp_path / "output-rs0.jsonl"])


def test_other_names_missing_files_and_empty_folders_are_refused(tmp_path: Path) -> None:
    make(tmp_path, "other.jsonl", "empty/x.txt")
    for path, message in (
        (tmp_path / "other.jsonl", "not an output"),
        (tmp_path / "output-rs0.jsonl", "does not exist"),
        (tmp_path / "empty", "no output file"),
    ):
        with pytest.raises(CorpusError, match=message):
            find_files([path])


def test_metrics_are_found_beside_and_in_the_benchmarks(tmp_path: Path) -> None:
    make(tmp_path, "eval-results/a/output.jsonl", "eval-results/a/metrics.json", "eval-results/metrics.json")
    make(tmp_path, "other/metrics.json")
    for named in (".", "eval-results", "eval-results/a"):
        _, metrics = find_files([tmp_path / named])
        assert {str(file.resolve().relative_to(tmp_path.resolve())) for file in metrics} == {
            "eval-results/a/metrics.json",
            "eval-results/metrics.json",
        }
    benchmarks, metrics = find_files([tmp_path / "other" / "metrics.json"])
    assert (benchmarks, [file.name for file in metrics]) == ([], ["metrics.json"])
