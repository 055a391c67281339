"""Runs of upstream and of a published summary, and our own export read back."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch.benches.imported import ImportedRun
from autoresearch.benches.ports import BenchRun, Graded
from autoresearch.benches.records import Unavailable
from autoresearch.benches.research.analysis import analyze_run
from autoresearch.benches.research.diagnose import diagnose
from autoresearch.benches.research.export import export_run
from autoresearch.benches.research.grading import grade_trial
from autoresearch.benches.research.imports import import_runs
from autoresearch.errors import AutoresearchError, ConfigError, CorpusError
from tests.research_world import FINISH, FORMAT_ERROR, TS, case_set, deep, run_of, tool_turn, trial, wide


def as_run(found: ImportedRun) -> BenchRun:
    """As written and read back, without the files."""
    graded = {
        (item.trial.case, item.trial.sample): Graded(
            seq, item.trial, {grade.grader.partition("@")[0]: grade for grade in item.grades}
        )
        for seq, item in enumerate(found.trials, 1)
    }
    return BenchRun(Path("run"), found.meta(TS), found.cases, graded)


def write(path: Path, *lines: Any, name: str = "run.jsonl") -> Path:
    file = path / name
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def paper(number: int, **more: Any) -> dict[str, Any]:
    """A paper as upstream records it."""
    title = f"Title {number}"
    return {"id": 0, "paper_title": title, "arxiv_id": f"2204.{number:05}v1", "metadata": {"title": title}} | more


def shown(*numbers: int, ids: bool = True) -> str:
    papers = [{"paper_title": f"Title {n}"} | ({"paper_id": i} if ids else {}) for i, n in enumerate(numbers)]
    return f"<tool_response>{json.dumps(papers)}</tool_response>"


SEARCH = '<tool_call>\n{"name": "search", "arguments": {"query": "x"}}\n</tool_call>'


def result(**more: Any) -> dict[str, Any]:
    """One pass of upstream: two searches, candidates 5 then 2, both accumulated."""
    messages = [
        {"role": "system", "content": "prompt"},
        {"role": "user", "content": "User Query: which?"},
        {"role": "assistant", "content": f"<candidates>None</candidates>{SEARCH}"},
        {"role": "user", "content": shown(5, 6, ids=False)},
        {"role": "assistant", "content": f"<candidates>[0]</candidates>{SEARCH}"},
        {"role": "user", "content": shown(1, 2)},
        {"role": "assistant", "content": "<candidates>[1]</candidates><answer>Done</answer>"},
    ]
    turns = [
        {"turn": 1, "duration": 1.5, "input_tokens": 100, "output_tokens": 20, "action": "tool"}
        | {"action_content": {"name": "search", "arguments": {"query": "x"}}, "papers_retrieved_this_turn": 2},
        {"turn": 2, "duration": 1.5, "input_tokens": 200, "output_tokens": 20, "action": "tool"}
        | {"action_content": {"name": "search", "arguments": {"query": "x"}}, "papers_retrieved_this_turn": 2},
        {"turn": 3, "duration": 1.0, "input_tokens": 300, "output_tokens": 10, "action": "finish"}
        | {"action_content": "Done", "papers_retrieved_this_turn": 0},
    ]
    return {
        "status": "finished",
        "total_time": 4.25,
        "messages": messages,
        "final_candidates": [paper(5), paper(2)],
        "final_candidate_state": "ids",
        "turn_details": turns,
        "pass_id": 0,
    } | more


def line(case: dict[str, Any], *results: dict[str, Any]) -> dict[str, Any]:
    return {"input_data": case, "inference_results": list(results)}


def test_the_final_nomination_is_replayed_from_the_messages(tmp_path: Path) -> None:
    found = import_runs([write(tmp_path, line(deep(2), result()))])
    assert (found.format, found.samples, len(found.trials)) == ("autoresearchbench", 1, 1)
    trial_, grade = found.trials[0].trial, found.trials[0].grades[0]
    assert (trial_.case, trial_.status, trial_.wall_s) == ("2204.00002", "finished", 4.25)
    assert (trial_.tokens_in, trial_.tokens_out) == (600, 50)
    assert (grade.score, grade.answer, grade.detail["first_correct"]) == (1.0, "2204.00002", False)
    assert [[p["title"] for p in turn.get("papers") or []] for turn in trial_.turns] == [
        ["Title 5", "Title 6"],
        ["Title 1", "Title 2"],
        [],
    ]


def test_what_an_imported_attempt_saw(tmp_path: Path) -> None:
    cases = [deep(2), deep(6) | {"question": "Six?"}, deep(9) | {"question": "Nine?"}]
    run = as_run(import_runs([write(tmp_path, *(line(case, result()) for case in cases))]))
    losses = {item["loss"]: item["attempts"] for item in diagnose(run)["losses"]}
    assert losses == {"seen, not nominated": 1, "not returned": 1}
    assert diagnose(run)["chain"]["seen"] == pytest.approx(2 / 3)
    assert diagnose(run)["chain"]["indexed"] is None


def test_without_messages_the_searches_are_not_known_and_one_candidate_is_the_nomination(tmp_path: Path) -> None:
    one = result(messages=[], final_candidates=[paper(2)])
    several = result(messages=[], pass_id=1)
    found = import_runs([write(tmp_path, line(deep(2), one, several))])
    assert [item.grades[0].score for item in found.trials] == [1.0, None]
    assert found.trials[1].grades[0].detail["first_correct"] is False
    assert "the final nomination of 1 attempts is not recorded: they have no grade" in found.notes
    assert diagnose(as_run(found))["chain"]["seen"] is None


def test_messages_that_do_not_lead_to_the_candidates_give_no_nomination(tmp_path: Path) -> None:
    found = import_runs([write(tmp_path, line(deep(2), result(final_candidates=[paper(2), paper(5)])))])
    assert found.trials[0].grades[0].score is None


def test_a_nomination_inside_thinking_is_not_replayed(tmp_path: Path) -> None:
    changed = result()
    changed["messages"][-1]["content"] = "<think><candidates>[0]</candidates></think><answer>Done</answer>"
    changed["final_candidates"] = [paper(5)]
    found = import_runs([write(tmp_path, line(deep(5), changed))])
    assert found.trials[0].grades[0].score == 1.0


@pytest.mark.parametrize(
    ("more", "score"),
    [
        ({"final_candidates": [], "final_candidate_state": "none"}, 0.0),
        ({"final_candidates": [{"title": "Title 2"}]}, 1.0),  # as upstream's grader leaves it
        ({"final_candidates": None, "final_candidate_state": "none"}, 0.0),
        ({"final_candidates": None}, None),
    ],
)
def test_forms_of_the_final_candidates(tmp_path: Path, more: dict[str, Any], score: float | None) -> None:
    found = import_runs([write(tmp_path, line(deep(2), result(**more)))])
    assert found.trials[0].grades[0].score == score


def test_wide_is_joined_on_the_question_and_scored_by_id(tmp_path: Path) -> None:
    found = import_runs([write(tmp_path, line(wide("All?", 2, 5, 7), result()))])
    assert found.cases.cases[0].id == hashlib.sha256(b"All?").hexdigest()
    assert found.trials[0].grades[0].score == 2 / 3


def test_passes_are_joined_by_question_and_pass_and_never_by_row(tmp_path: Path) -> None:
    first = write(tmp_path, line(deep(1), result()), line(deep(2), result(pass_id=1)), name="a.jsonl")
    second = write(tmp_path, line(deep(2), result(final_candidates=[])), name="b.jsonl")
    found = import_runs([first, second])
    assert found.samples == 2
    assert sorted((item.trial.case, item.trial.sample) for item in found.trials) == [
        ("2204.00001", 0),
        ("2204.00002", 0),
        ("2204.00002", 1),
    ]
    assert as_run(found).missing == (("2204.00001", 1),)


def test_a_pass_without_a_number_has_its_place(tmp_path: Path) -> None:
    bare = {key: value for key, value in result().items() if key != "pass_id"}
    found = import_runs([write(tmp_path, line(deep(2), bare, bare))])
    assert [item.trial.sample for item in found.trials] == [0, 1]


def test_an_attempt_that_upstream_gave_up_is_a_failure_of_the_infrastructure(tmp_path: Path) -> None:
    failed = {
        "status": "error",
        "total_time": 0.0,
        "messages": [],
        "final_candidates": [],
        "final_candidate_state": "empty",
        "turn_details": [{"action": "error", "error_message": "Failed after 3 attempts"}],
        "pass_id": 0,
    }
    run = as_run(import_runs([write(tmp_path, line(deep(2), failed))]))
    assert diagnose(run)["losses"][0]["loss"] == "server"
    assert diagnose(run)["turns"]["server_errors"] == 1


def test_the_output_of_upstreams_grader_brings_its_scores(tmp_path: Path) -> None:
    item = line(deep(2), result(final_candidates=[{"title": "Title 5"}, {"title": "Title 2"}]))
    item["evaluation"] = {"pass_scores": [1.0], "metrics": {}}
    file = tmp_path / "evaluation.json"
    file.write_text(json.dumps({"summary": {}, "detailed_results": [item]}, indent=2))
    found = import_runs([file])
    assert [(g.grader, g.score) for g in found.trials[0].grades] == [("research@1", 1.0), ("upstream@1", 1.0)]


def test_an_unknown_status_is_kept_and_counted(tmp_path: Path) -> None:
    run = as_run(import_runs([write(tmp_path, line(deep(2), result(status="unknown")))]))
    assert analyze_run(run)["statuses"]["unknown"] == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "it has none of input_data"),
        ({"input_data": {}, "inference_results": []}, "line 1: question: a text is expected"),
        ({"input_data": {"question": ["q"]}, "inference_results": []}, "line 1: question: a text is expected"),
        (line(deep(1), {}), "line 1: inference_results.0.status: Field required"),
        (
            line(deep(1), result(total_time="4")),
            "results.0.total_time: Input should be a valid number, not '4'",
        ),
        (line(deep(1), result(total_time=-1)), "total_time"),
        (line(deep(1), result(pass_id=-1)), "pass_id"),
        (line(deep(1), result(final_candidates=[7])), "final_candidates.0"),
        (line(deep(1), result(turn_details=[{"input_tokens": -4}])), "turn_details.0.input_tokens"),
        (line(deep(1), result(), result()), "pass 0 of this question is in"),
        ([], "a JSON object is expected, not []"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        import_runs([write(tmp_path, value)])
    assert message in str(caught.value)
    assert "run.jsonl" in str(caught.value)


def test_one_question_with_two_answers_is_refused(tmp_path: Path) -> None:
    changed = line(deep(2) | {"arxiv_id": "2204.00003"}, result(pass_id=1))
    with pytest.raises(CorpusError, match=r"line 2: the question of .*line 1 with another answer"):
        import_runs([write(tmp_path, line(deep(2), result()), changed)])


@pytest.mark.parametrize("content", [b"", b"\n", b"{", b"\xff\xfe", b"[" * 100_000, b'{"per_question": 7}', b"null"])
def test_files_of_another_kind_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "odd"
    file.write_bytes(content)
    with pytest.raises(AutoresearchError):
        import_runs([file])
    with pytest.raises(CorpusError, match="is a directory"):
        import_runs([tmp_path])
    with pytest.raises(CorpusError, match="cannot read"):
        import_runs([tmp_path / "missing"])


# The summary of a published run.


def turn(action: str, tokens: int, output: int, papers: int = 0) -> dict[str, Any]:
    return {"action": action, "duration_s": 1.0, "input_tokens": tokens, "output_tokens": output} | {
        "papers_retrieved": papers
    }


def question(number: int, status: str, seconds: float, turns: list[Any], **more: Any) -> dict[str, Any]:
    item = {"arxiv_id": f"2204.{number:05}", "truth_title": f"Title {number}", "status": status, "turns": len(turns)}
    return item | {"q_index": 0, "wall_seconds": seconds, "candidates": 0, "turn_detail": turns} | more


def summary(path: Path, *questions: Any, name: str = "summary.json") -> Path:
    file = path / name
    file.write_text(json.dumps({"label": "model-a", "n_questions": 3, "per_question": list(questions)}, indent=2))
    return file


def wall(path: Path) -> Path:
    """Two walls after answers that could not be read, and an attempt without a search."""
    errors = [turn("error", 1700 + 700 * n, 500) for n in range(4)]
    return summary(
        path,
        question(1, "finished", 100.5, [turn("finish", 1700, 1200)]),
        question(2, "context_length_exceeded", 250.0, [*errors, turn("error", 4700, 0)]),
        question(3, "context_length_exceeded", 380.0, [*errors, turn("error", 4800, 0)], tool_format_errors=5),
    )


def test_a_summary_is_joined_by_id_and_an_unanswered_turn_is_not_a_format_error(tmp_path: Path) -> None:
    found = import_runs([wall(tmp_path)])
    assert (found.format, found.model, found.samples) == ("autoresearchbench-summary", "model-a", 1)
    assert [item.trial.case for item in found.trials] == ["2204.00001", "2204.00002", "2204.00003"]
    assert [item.trial.wall_s for item in found.trials] == [100.5, 250.0, 380.0]
    assert [item.grades[0].score for item in found.trials] == [0.0, 0.0, 0.0]
    diagnosis = diagnose(as_run(found))
    assert (diagnosis["turns"]["format_errors"], diagnosis["turns"]["server_errors"]) == (8, 2)
    assert {item["loss"]: item["attempts"] for item in diagnosis["losses"]} == {"never searched": 1, "tool format": 2}
    assert diagnosis["bottleneck"] == "format"
    assert diagnosis["overflows"][0] == {
        "case": "2204.00002",
        "sample": 0,
        "prompt_tokens": 4700,
        "context_tokens": None,
        "by_reserve": None,
    }


def test_a_summary_of_finished_searches_cannot_tell_model_from_retrieval(tmp_path: Path) -> None:
    searched = [turn("tool", 1700, 1000, 10), turn("finish", 12000, 700)]
    found = import_runs([summary(tmp_path, *(question(n, "finished", 300.0, searched) for n in (1, 2, 3)))])
    diagnosis = diagnose(as_run(found))
    assert diagnosis["bottleneck"] is None
    assert "the model or the retrieval, which this run cannot tell apart: 3 of 3 attempts" in diagnosis["sentence"]


def test_two_summaries_in_another_order_have_the_same_cases(tmp_path: Path) -> None:
    turns = [turn("finish", 1, 1)]
    one = summary(tmp_path, question(1, "finished", 1.0, turns), question(2, "finished", 2.0, turns), name="a")
    other = summary(tmp_path, question(2, "finished", 5.0, turns), question(1, "finished", 9.0, turns), name="b")
    first, second = import_runs([one]), import_runs([other])
    assert first.cases.sha256 == second.cases.sha256
    walls = [{item.trial.case: item.trial.wall_s for item in found.trials} for found in (first, second)]
    assert {case: walls[1][case] - walls[0][case] for case in walls[0]} == {"2204.00001": 8.0, "2204.00002": 3.0}


def test_candidates_of_a_summary_are_only_a_number(tmp_path: Path) -> None:
    found = import_runs([summary(tmp_path, question(1, "finished", 1.0, [turn("finish", 1, 1)], candidates=2))])
    assert found.trials[0].grades[0].score is None
    assert diagnose(as_run(found))["losses"][0]["loss"] == "not recorded"


def test_a_summary_without_turns_says_so(tmp_path: Path) -> None:
    item = question(1, "finished", 1.0, [])
    del item["turn_detail"]
    found = import_runs([summary(tmp_path, item | {"turns": 3})])
    assert diagnose(as_run(found))["losses"][0]["loss"] == "not recorded"


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "per_question is empty"),
        (
            [question(1, "finished", 1.0, []), question(1, "finished", 1.0, [])],
            "item 2 has the arxiv_id of per_question item 1",
        ),
        ([question(1, "finished", 1.0, [turn("tool", 1, 1)]) | {"turns": 4}], "turns is 4, but turn_detail has 1"),
        ([question(1, "finished", 1.0, []) | {"arxiv_id": ["2204.00001"]}], "a Wide question is joined by its text"),
        ([question(1, "", 1.0, [])], "per_question.0.status"),
        ([question(1, "finished", -1.0, [])], "per_question.0.wall_seconds"),
        ([{"status": "finished"}], "per_question.0.arxiv_id"),
    ],
)
def test_a_bad_summary_names_the_item(tmp_path: Path, items: list[Any], message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        import_runs([summary(tmp_path, *items)])
    assert message in str(caught.value)


def test_a_summary_is_a_run_by_itself(tmp_path: Path) -> None:
    one, other = wall(tmp_path), write(tmp_path, line(deep(1), result()))
    for files in ([one, other], [one, one]):
        with pytest.raises(CorpusError, match="is the summary of a whole run"):
            import_runs(files)


# Our own export.


def own_run() -> BenchRun:
    cases = case_set(deep(1), deep(2), wide("All?", 3, 4))
    a, b, c = cases.cases
    probe = {"k": 50, "returned": 3, "ranks": [2], "indexed": [True]}
    both = {"k": 50, "returned": 3, "ranks": [2, None], "indexed": [True, False]}
    message = {"messages": [{"role": "user", "content": "q"}], "retriever": "bm25:x", "ended_by": "model"}
    return run_of(
        cases,
        [
            trial(a, 0, turns=[tool_turn(1, 5), FINISH], candidates=[5, 1], nominee=1, probe=probe, **message),
            trial(a, 1, turns=[FORMAT_ERROR] * 3, status="error", probe=probe, **(message | {"ended_by": "format"})),
            trial(b, 0, turns=[tool_turn(7), FINISH], probe=probe, **message),
            trial(c, 0, turns=[tool_turn(3), FINISH], candidates=[3, 9], probe=both, **message),
            trial(c, 1, status="max_turns_reached", turns=[tool_turn(3)], probe=both, **message),
        ],
        samples=2,
    )


def test_an_export_read_back_has_the_same_figures(tmp_path: Path) -> None:
    run = own_run()
    file = tmp_path / "export.jsonl"
    file.write_text("".join(f"{text}\n" for text in export_run(run)))
    back = as_run(import_runs([file]))
    assert back.cases == run.cases
    assert back.missing == run.missing == (("2204.00002", 1),)
    assert back.meta.model == "model"
    assert diagnose(back) == diagnose(run)
    assert analyze_run(back) == {**analyze_run(run), "per_case": analyze_run(back)["per_case"]}


def test_an_export_has_upstreams_form() -> None:
    lines = [json.loads(text) for text in export_run(own_run())]
    assert [item["input_data"] for item in lines] == [deep(1), deep(2), wide("All?", 3, 4)]
    first = lines[0]["inference_results"][0]
    assert (first["pass_id"], first["status"], first["final_candidate_state"]) == (0, "finished", "ids")
    assert [p["metadata"]["title"] for p in first["final_candidates"]] == ["Title 5", "Title 1"]
    assert first["final_candidates"][0]["arxiv_id"] == "2204.00005"
    assert first["turn_details"][0]["papers_retrieved_this_turn"] == 2
    assert all(len(item["inference_results"]) == 2 for item in lines)  # upstream's summary needs equal numbers
    counts = ("duration", "input_tokens", "output_tokens", "papers_retrieved_this_turn")
    turns = [t for item in lines for r in item["inference_results"] for t in r["turn_details"]]
    assert all(isinstance(t[key], (int, float)) for t in turns for key in counts)


def test_a_missing_attempt_is_marked_and_scores_nothing_upstream() -> None:
    run = own_run()
    lost = Unavailable(ts=TS, case="2204.00002", sample=1, cause="unreachable", detail="refused")
    run = replace(run, unavailable={("2204.00002", 1): lost})
    missing = json.loads(list(export_run(run))[1])["inference_results"][1]
    assert (missing["status"], missing["final_candidates"], missing["missing"]) == ("error", [], True)
    assert missing["turn_details"][0]["error_message"] == "not attempted: unreachable: refused"


def test_a_run_without_its_candidates_cannot_be_exported() -> None:
    cases = case_set(deep(1))
    with pytest.raises(ConfigError, match=r"case 2204\.00001, sample 0: the nominated papers are not recorded"):
        list(export_run(run_of(cases, [trial(cases.cases[0], candidates=None)])))


def test_a_probe_of_another_case_is_refused(tmp_path: Path) -> None:
    text = next(iter(export_run(own_run()))).replace('"ranks": [2]', '"ranks": [2, 3]')
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(CorpusError, match="has not one rank for each of 1 papers"):
        import_runs([tmp_path / "x.jsonl"])


def test_a_grade_is_the_same_after_a_regrade(tmp_path: Path) -> None:
    found = import_runs([write(tmp_path, line(deep(2), result()))])
    item = found.trials[0]
    assert grade_trial(found.cases.cases[0], item.trial, item.trial.ts) == item.grades[0]
