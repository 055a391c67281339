"""Import of ``ns eval``: joins, what is missing, and the figures that come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.importing import write_run
from autoresearch.benches.ports import BenchRun
from autoresearch.benches.regrading import describe_regrading, regrade
from autoresearch.benches.run_directory import open_directory, read_run
from autoresearch.benches.samples.analysis import analyze_run, headline_scores
from autoresearch.benches.samples.imports import import_runs
from autoresearch.benches.samples.suite import SamplesSuite
from autoresearch.benches.samples.tables import describe_analysis
from autoresearch.errors import CorpusError

TS = "2026-11-26T00:00:00.000Z"


def row(name: str | int | None, correct: bool | None = True, answer: str | None = "4", **fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "problem": f"p{name}",
        "expected_answer": "4",
        "generation": "g",
        "predicted_answer": answer,
    }
    found |= {"num_generated_tokens": 10} | ({} if name is None else {"id": name})
    return found | ({} if correct is None else {"symbolic_correct": correct}) | fields


def write(folder: Path, **outputs: list[dict[str, Any]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in outputs.items():
        file = folder / f"output-{name}.jsonl" if name != "output" else folder / "output.jsonl"
        file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


def imported(tmp_path: Path, *paths: Path) -> BenchRun:
    """Import, write as a run, and read it back."""
    run = import_runs(list(paths))
    write_run(tmp_path / "run", run, TS)
    return read_run(tmp_path / "run")


def test_rows_are_joined_by_id_in_any_order(tmp_path: Path) -> None:
    bench = write(tmp_path / "b", rs0=[row("x"), row("y", False)], rs1=[row("y", True), row("x", False)])
    run = imported(tmp_path, bench)
    assert headline_scores(run) == {"x": (1.0, 0.0), "y": (0.0, 1.0)}
    assert (run.meta.imported, run.meta.samples, run.meta.options["seeds"]) == ("ns-eval", 2, [0, 1])
    analysis = analyze_run(run)
    assert analysis["complete"]
    assert analysis["headline"]["value"] == 0.5


def test_an_id_that_one_output_lacks_is_a_missing_sample(tmp_path: Path) -> None:
    bench = write(tmp_path / "b", rs0=[row("x"), row("y")], rs1=[row("x")])
    run = imported(tmp_path, bench)
    assert headline_scores(run) == {"x": (1.0, 1.0), "y": (1.0, None)}
    analysis = analyze_run(run)
    assert (analysis["missing"], analysis["complete"]) == (1, False)
    assert analysis["headline"]["value"] == 3 / 4
    assert analysis["headline"]["upper"] == 1
    assert "1 sample missing" in " ".join(run.meta.options["import_notes"])


def test_rows_without_an_id_are_joined_by_their_number(tmp_path: Path) -> None:
    bench = write(tmp_path / "b", rs0=[row(None), row(None, False)], rs1=[row(None, False), row(None, False)])
    assert headline_scores(imported(tmp_path, bench)) == {"000000": (1.0, 0.0), "000001": (0.0, 0.0)}


def test_different_numbers_of_rows_without_an_id_are_refused(tmp_path: Path) -> None:
    bench = write(tmp_path / "b", rs0=[row(None), row(None)], rs1=[row(None)])
    with pytest.raises(CorpusError, match=r"output-rs1.jsonl has 1 row, .*output-rs0.jsonl has 2 rows"):
        import_runs([bench])


def test_rows_of_different_questions_are_refused(tmp_path: Path) -> None:
    bench = write(tmp_path / "b", rs0=[row(None, problem="1?")], rs1=[row(None, problem="2?")])
    with pytest.raises(CorpusError, match=r"problem of '000000' is '1\?' in .*rs0.*'2\?' in .*rs1"):
        import_runs([bench])
    bench = write(tmp_path / "c", rs0=[row("a")], rs1=[row("a", expected_answer="5")])
    with pytest.raises(CorpusError, match="expected_answer of 'a'"):
        import_runs([bench])


def test_rows_with_and_without_an_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="1 rows have no id, 1 have one"):
        import_runs([write(tmp_path / "b", rs0=[row("x"), row(None)])])


def test_an_id_that_occurs_twice_in_one_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="line 2: id: '7' is the id of line 1 too"):
        import_runs([write(tmp_path / "b", rs0=[row(7), row("7")])])


def test_a_generation_that_did_not_end_is_missing(tmp_path: Path) -> None:
    bench = write(tmp_path / "b", rs0=[row(None), {}], rs1=[row(None), row(None)])
    run = imported(tmp_path, bench)
    assert headline_scores(run) == {"000000": (1.0, 1.0), "000001": (None, 1.0)}
    assert "1 row {}" in " ".join(run.meta.options["import_notes"])


def test_a_generation_that_did_not_end_in_any_output_is_a_planned_case(tmp_path: Path) -> None:
    """Its id is nowhere: it is in the denominator all the same, and of the kind of the others."""
    judged = {"judgement": "Judgement: Yes"}
    bench = write(tmp_path / "b", rs0=[row("x", **judged), {}, row("z", **judged)], rs1=[row("x", **judged), {}, {}])
    run = imported(tmp_path, bench)
    assert headline_scores(run) == {"x": (1, 1), "z": (1, None), "row without id 1": (None, None)}
    analysis = analyze_run(run)
    assert (analysis["missing"], analysis["complete"], analysis["headline"]["method"]) == (3, False, "judge_correct")
    assert (analysis["headline"]["lower"], analysis["headline"]["upper"]) == (pytest.approx(1 / 2), 1)
    assert "an id is not in every" not in " ".join(run.meta.options["import_notes"])


def test_a_choice_without_a_letter_votes_as_upstream_wrote_it(tmp_path: Path) -> None:
    """hello, hello, B: upstream's majority is the two wrong ones, and no sample is without an answer."""
    answers = ("hello", "hello", "B")
    rows = [[row("x", a == "B", a, expected_answer="B")] for a in answers]
    run = imported(tmp_path, write(tmp_path / "b", rs0=rows[0], rs1=rows[1], rs2=rows[2]))
    modes = {mode["mode"]: mode for mode in analyze_run(run)["modes"]}
    assert modes["majority@3[nemo]"]["rates"]["symbolic_correct"]["value"] == 0
    assert modes["majority@3"]["rates"]["symbolic_correct"]["value"] == 0
    assert modes["pass@1[avg-of-3]"]["no_answer"]["value"] == 0


def test_upstreams_own_verdicts_have_no_answers_and_no_votes(tmp_path: Path) -> None:
    rows = [{"id": i, "generation": "f()", "is_correct": ok} for i, ok in (("x", True), ("y", 0.5))]
    run = imported(tmp_path, write(tmp_path / "b", rs0=rows, rs1=rows))
    modes = {mode["mode"]: mode for mode in analyze_run(run)["modes"]}
    assert modes["pass@1[avg-of-2]"]["rates"]["symbolic_correct"]["value"] == 0.75
    for mode in ("majority@2", "majority@2[nemo]", "pass@2"):
        assert modes[mode]["rates"]["symbolic_correct"]["value"] is None
    assert modes["pass@1[avg-of-2]"]["no_answer"]["value"] is None
    with open_directory(tmp_path / "run") as directory:
        found = regrade(directory, read_run(tmp_path / "run").cases, SamplesSuite())
    assert (found.trials, found.kept, found.written) == (4, 4, 0)
    assert "4 trials not graded again" in describe_regrading(found)


def test_an_unfinished_seed_is_planned_and_missing(tmp_path: Path) -> None:
    bench = write(tmp_path / "b", rs0=[row("x")], rs1=[row("x")])
    (bench / "output-rs2.jsonl-async").write_text("{}\n")
    run = imported(tmp_path, bench)
    assert headline_scores(run) == {"x": (1.0, 1.0, None)}
    analysis = analyze_run(run)
    assert (analysis["samples"], analysis["headline"]["value"]) == (3, pytest.approx(2 / 3))
    assert "seed 2 has not finished" in describe_analysis(analysis)


def test_only_unfinished_seeds_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "b")
    (tmp_path / "b" / "output-rs0.jsonl-async").write_text("{}\n")
    with pytest.raises(CorpusError, match="no finished output"):
        import_runs([tmp_path / "b"])


def test_judge_and_symbolic_verdicts_stand_side_by_side(tmp_path: Path) -> None:
    rows = [
        row("a", True, judgement="Judgement: Yes"),
        row("b", False, None, judgement="Judgement: No\nJudgement: Yes"),
        row("c", False, judgement="no idea"),
    ]
    run = imported(tmp_path, write(tmp_path / "b", output=rows))
    analysis = analyze_run(run)
    assert analysis["methods"] == ["judge_correct", "symbolic_correct", "both_correct", "any_correct"]
    rates = analysis["modes"][0]["rates"]
    assert rates["judge_correct"]["value"] == pytest.approx(2 / 3)
    assert rates["judge_correct"]["upper"] == 1
    assert rates["symbolic_correct"]["value"] == pytest.approx(1 / 3)
    assert rates["both_correct"]["value"] == pytest.approx(1 / 3)
    assert rates["any_correct"]["value"] == pytest.approx(2 / 3)
    assert analysis["ungraded"] == 1


def test_kinds_are_inferred(tmp_path: Path) -> None:
    rows = [
        row("m"),
        row("c", expected_answer="B", predicted_answer="B"),
        row("j", judgement="Judgement: No"),
        {"id": "e", "generation": "x", "is_correct": 0.5},
    ]
    run = import_runs([write(tmp_path / "b", output=rows)])
    kinds = {case.id: case.payload["kind"] for case in run.cases.cases}
    assert kinds == {"m": "math", "c": "mcq", "j": "judge", "e": "external"}
    assert any("never graded again" in note for note in run.notes)


def test_outputs_without_verdicts_can_be_graded_here(tmp_path: Path) -> None:
    run = imported(tmp_path, write(tmp_path / "b", output=[row("a", None)]))
    assert headline_scores(run) == {"a": (None,)}
    assert any("bench regrade" in note for note in run.meta.options["import_notes"])


def test_several_benchmarks_are_families_of_one_run(tmp_path: Path) -> None:
    write(tmp_path / "ruler.x.vt", rs0=[{"generation": "a", "is_correct": 1.0}])
    write(tmp_path / "ruler.x.qa", rs0=[{"generation": "a", "is_correct": 0.5}])
    run = imported(tmp_path, tmp_path / "ruler.x.vt", tmp_path / "ruler.x.qa")
    assert headline_scores(run) == {"ruler.x.qa/000000": (0.5,), "ruler.x.vt/000000": (1.0,)}
    assert [row["family"] for row in analyze_run(run)["families"]] == ["ruler.x.qa", "ruler.x.vt"]


def test_benchmarks_with_different_seeds_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", rs0=[row("x")])
    write(tmp_path / "b", rs0=[row("x")], rs1=[row("x")])
    with pytest.raises(CorpusError, match="a has the seeds 0, b has 0, 1"):
        import_runs([tmp_path])


def test_subsets_are_families(tmp_path: Path) -> None:
    rows = [row("a", subset_for_metrics="aime24"), row("b", subset_for_metrics="aime25")]
    run = imported(tmp_path, write(tmp_path / "b", output=rows))
    assert [case.family for case in run.cases.cases] == ["aime24", "aime25"]


def test_metrics_are_shown_beside_the_samples(tmp_path: Path) -> None:
    bench = write(tmp_path / "aime24", output=[row("a")])
    figures = {"pass@1": {"num_entries": 1, "symbolic_correct": 82.92}}
    (bench / "metrics.json").write_text(json.dumps({"aime24": figures, "gpqa": figures}))
    run = imported(tmp_path, bench)
    assert [r["benchmark"] for r in run.meta.options["published"]] == ["aime24"]
    text = describe_analysis(analyze_run(run))
    assert "82.92%" in text
    assert "not computed here" in text


def test_metrics_alone_are_a_table_without_samples(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps({"bfcl_v3": {"overall_accuracy": {"accuracy": 67.03, "num_entries": 4441}}}))
    run = imported(tmp_path, file)
    analysis = analyze_run(run)
    assert (analysis["headline"], analysis["modes"]) == (None, [])
    assert headline_scores(run) == {"bfcl_v3 overall_accuracy": (None,)}
    assert "67.03%" in describe_analysis(analysis)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"{", "line 1"),
        (b"[]", "object"),
        (b'{"id": "a", "symbolic_correct": "yes"}', "line 1: symbolic_correct: 'yes'"),
        (b'{"id": "a"}\n{"id": NaN}', "line 2: NaN"),
        (b"\x00\xff", "line 1"),
    ],
)
def test_a_damaged_output_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "output-rs0.jsonl").write_bytes(content)
    with pytest.raises(CorpusError, match=message) as e:
        import_runs([tmp_path / "output-rs0.jsonl"])
    assert "output-rs0.jsonl" in e.value.what


def test_the_figures_of_an_import_are_the_definitions(tmp_path: Path) -> None:
    """4 cases x 4 samples with one answer missing; the expected figures are fractions computed by hand."""
    marks = {"a": "1111", "b": "1010", "c": "0100", "d": "0000"}
    outputs = {
        f"rs{seed}": [
            row(name, mark[seed] == "1", None if (name, seed) == ("d", 0) else f"v{mark[seed]}")
            for name, mark in marks.items()
        ]
        for seed in range(4)
    }
    analysis = analyze_run(imported(tmp_path, write(tmp_path / "gpqa", **outputs)))
    rates = {
        mode["mode"]: (mode["rates"]["symbolic_correct"]["value"], mode["no_answer"]["value"])
        for mode in analysis["modes"]
    }
    assert rates == {
        "pass@1[avg-of-4]": (7 / 16, 1 / 16),
        "majority@4": ((1 + 1 / 2 + 0 + 0) / 4, 0),
        "majority@4[nemo]": ((1 + 1 / 2 + 0 + 0) / 4, 0),
        "pass@4": (3 / 4, 0),
        "pass^4": (1 / 4, 0),
    }
    spread = analysis["run_statistics"]["symbolic_correct"]  # run means 1/2, 1/2, 1/2, 1/4
    assert spread["sd"] == pytest.approx(1 / 8)
    assert spread["se"] == pytest.approx(1 / 16)
