"""`bench import` and `export` with the suites that read foreign runs, and the comparison of two published summaries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoresearch.cli import main

# The published comparison of two models on three questions joined by row, and got two of three differences wrong.
WALLS = {"2204.05525": (386.0, 327.7), "2011.04709": (115.0, 432.8), "2011.03802": (258.0, 330.0)}


def run(capsys, *argv: object) -> tuple[int, str, str]:
    code = main(["bench", *map(str, argv)])
    out, err = capsys.readouterr()
    return code, out, err


def summary(label: str, walls: dict[str, float]) -> str:
    """A summary with these seconds by question, none of them answered."""
    turn = {"turn": 0, "action": "tool", "duration": 50.0, "input_tokens": 2000, "output_tokens": 90}
    questions = [
        {
            "arxiv_id": paper,
            "truth_title": f"Paper {paper}",
            "status": "finished",
            "wall_seconds": wall_s,
            "turns": 2,
            "candidates": 0,
            "turn_detail": [turn, {**turn, "turn": 1, "action": "finish"}],
        }
        for paper, wall_s in walls.items()
    ]
    return json.dumps({"label": label, "per_question": questions})


@pytest.fixture
def runs(tmp_path, capsys) -> tuple[Path, Path]:
    """Two imported summaries whose questions are in another order."""
    (tmp_path / "a.json").write_text(summary("llama", {paper: walls[0] for paper, walls in WALLS.items()}))
    (tmp_path / "b.json").write_text(summary("nemotron", {paper: walls[1] for paper, walls in reversed(WALLS.items())}))
    for name in "ab":
        assert run(capsys, "import", tmp_path / f"{name}.json", "--dir", tmp_path / name)[0] == 0
    return tmp_path / "a", tmp_path / "b"


def test_two_published_summaries_are_joined_by_id(runs, capsys):
    code, out, _ = run(capsys, "compare", *runs, "--json")
    found: dict[str, Any] = json.loads(out)
    assert code == 0
    assert found["models"] == ["llama", "nemotron"]
    walls = {row["case"]: (row["a_wall_s"], row["b_wall_s"]) for row in found["rows"]}
    assert walls == WALLS
    assert found["comparison"]["verdict"] == "cannot tell"
    assert "All 3 cases have the same score" in found["comparison"]["sentence"]


def test_a_research_run_is_diagnosed_and_exported(runs, tmp_path, capsys):
    code, out, _ = run(capsys, "diagnose", runs[0], "--json")
    assert (code, json.loads(out)["planned"]) == (0, 3)
    code, out, _ = run(capsys, "export", runs[0], "--out", tmp_path / "out.jsonl")
    assert (code, out) == (0, f"{tmp_path}/out.jsonl: 3 lines\n")
    lines = (tmp_path / "out.jsonl").read_text()
    assert [json.loads(line)["inference_results"][0]["status"] for line in lines.splitlines()] == ["finished"] * 3
    assert run(capsys, "export", runs[0])[1] == lines
    assert run(capsys, "export", runs[0], "--json")[0] == 78


def test_a_directory_with_a_run_is_not_overwritten(runs, tmp_path, capsys):
    before = (runs[0] / "trials.jsonl").read_bytes()
    code, _, err = run(capsys, "import", tmp_path / "b.json", "--dir", runs[0])
    assert (code, "already has a bench run" in err) == (78, True)
    assert (runs[0] / "trials.jsonl").read_bytes() == before


def ns_eval(folder: Path, seeds: int, wrong: int) -> Path:
    """The output of `ns eval` for four questions; the first ``wrong`` samples of each seed are wrong."""
    folder.mkdir(parents=True)
    for seed in range(seeds):
        rows = [
            {
                "id": f"q{n}",
                "problem": f"{n} + 0?",
                "expected_answer": str(n),
                "generation": f"\\boxed{{{n + (n < wrong)}}}",
                "predicted_answer": str(n + (n < wrong)),
                "symbolic_correct": n >= wrong,
                "num_generated_tokens": 10,
            }
            for n in range(4)
        ]
        (folder / f"output-rs{seed}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_output_of_ns_eval(tmp_path, capsys):
    folder = ns_eval(tmp_path / "eval-results/aime25", seeds=2, wrong=1)
    code, out, _ = run(capsys, "import", folder, "--dir", tmp_path / "run", "--json")
    facts = json.loads(out)
    assert (code, facts["suite"], facts["cases"], facts["samples"], facts["missing"]) == (0, "samples", 4, 2, 0)
    code, out, _ = run(capsys, "analyze", tmp_path / "run", "--json", "--no-html", "--majority", "nemo")
    found = json.loads(out)
    assert (found["headline"]["value"], found["imported"], found["figures"]["majority"]) == (0.75, "ns-eval", "nemo")


def test_published_figures_without_samples_are_shown_and_not_compared(tmp_path, capsys):
    figures = {"aime25": {"pass@1[avg-of-8]": {"num_entries": 30, "symbolic_correct": 72.08, "no_answer": 21.25}}}
    (tmp_path / "metrics.json").write_text(json.dumps(figures))
    assert run(capsys, "import", "samples", tmp_path / "metrics.json", "--dir", tmp_path / "run")[0] == 0
    code, out, _ = run(capsys, "analyze", tmp_path / "run")
    assert (code, "Published figures only" in out, "72.08%" in out, "between 0.0%" in out) == (0, True, True, False)
    assert "<h1>Published figures</h1>" in (tmp_path / "run/bench.html").read_text()
    code, _, err = run(capsys, "compare", tmp_path / "run", tmp_path / "run", "--bounds")
    assert (code, "without a sample" in err) == (76, True)


def test_files_that_nothing_reads_name_each_reason(tmp_path, capsys):
    (tmp_path / "x.json").write_text("[1, 2]")
    code, _, err = run(capsys, "import", tmp_path / "x.json", "--dir", tmp_path / "run")
    assert (code, "as research:" in err, "as samples:" in err) == (66, True, True)
    assert not (tmp_path / "run").exists()


def test_majority_is_of_suite_samples(runs, capsys):
    code, _, err = run(capsys, "analyze", runs[0], "--majority", "nemo")
    assert (code, "--majority is of suite samples" in err) == (78, True)
