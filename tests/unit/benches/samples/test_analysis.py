"""Acceptance of the figures: every expected number was computed by hand, as fractions, from the definitions.

case   samples (answer, score)          n  c   mean   majority cluster
one    7 ok, 7 ok, 9 no, 7 ok           4  3   3/4    7 (3 votes)            -> 1
two    9 no, 8 no, none, 7 ok           4  1   1/4    four tied clusters     -> (0 + 0 + 0 + 1) / 4 = 1/4
three  none, none, 9 no, 9 no           4  0   0      9 (2 votes)            -> 0
four   7 ok, 7 ok, 9 no, 9 no           4  2   1/2    7 and 9 tied           -> (1 + 0) / 2 = 1/2
"""

from __future__ import annotations

import json
from math import sqrt

import pytest

from autoresearch.benches.ports import BenchRun
from autoresearch.benches.samples.analysis import analyze_run, headline_scores, score_name
from autoresearch.benches.samples.figures import majority_figure, pass_figure
from autoresearch.benches.samples.scores import score_run
from autoresearch.benches.samples.tables import describe_analysis
from tests.unit.benches.samples.world import MISSING, SILENT, right, run_of, wrong

FOUR = {
    "one": [right(), right(), wrong(), right()],
    "two": [wrong("9"), wrong("8"), SILENT, right()],
    "three": [SILENT, SILENT, wrong("9"), wrong("9")],
    "four": [right(), right(), wrong("9"), wrong("9")],
}


def rate(run: BenchRun, mode: str, method: str = "symbolic_correct") -> float | None:
    return figure(run, mode, method)["value"]


def figure(run: BenchRun, mode: str, method: str = "symbolic_correct") -> dict[str, float | None]:
    analysis = analyze_run(run)
    json.dumps(analysis, allow_nan=False)
    (row,) = [row for row in analysis["modes"] if row["mode"] == mode]
    found: dict[str, float | None] = row["no_answer"] if method == "no_answer" else row["rates"][method]
    return found


def bounds(run: BenchRun, mode: str, method: str = "symbolic_correct") -> tuple[float | None, ...]:
    found = figure(run, mode, method)
    return found["value"], found["lower"], found["upper"]


def test_pass_at_1_is_the_mean_over_cases_of_the_mean_over_samples() -> None:
    assert rate(run_of(FOUR), "pass@1[avg-of-4]") == pytest.approx((3 / 4 + 1 / 4 + 0 + 1 / 2) / 4)  # 3/8


def test_pass_at_n_and_pass_hat_n() -> None:
    assert rate(run_of(FOUR), "pass@4") == pytest.approx(3 / 4)
    assert rate(run_of(FOUR), "pass^4") == 0
    assert rate(run_of({"a": [right()] * 4, "b": FOUR["one"]}), "pass^4") == pytest.approx(1 / 2)


def test_pass_at_k_between() -> None:
    """n = 4, k = 2: 1 - C(n-c,2)/6 is 1, 1/2, 0, 5/6; C(c,2)/6 is 1/2, 0, 0, 1/6."""
    by_k = {row["k"]: row for row in analyze_run(run_of(FOUR))["by_k"]}
    assert sorted(by_k) == [1, 2, 4]
    assert by_k[2]["pass@k"]["value"] == pytest.approx((1 + 1 / 2 + 0 + 5 / 6) / 4)  # 7/12
    assert by_k[2]["pass^k"]["value"] == pytest.approx((1 / 2 + 1 / 6) / 4)  # 1/6
    assert by_k[1]["pass@k"] == by_k[1]["pass^k"] == by_k[1]["majority@k"]


def test_majority_at_2_is_the_expectation_over_all_pairs() -> None:
    """one: the pairs 7-7 (3 of 6) give 1, 7-9 (3 of 6) give 1/2: 3/4. two: any pair has two answers: its mean, 1/4.

    three: 0. four: 7-7 gives 1, 9-9 gives 0, the other four 1/2: (1 + 4/2) / 6 = 1/2.
    """
    by_k = {row["k"]: row for row in analyze_run(run_of(FOUR))["by_k"]}
    assert by_k[2]["majority@k"]["value"] == pytest.approx((3 / 4 + 1 / 4 + 0 + 1 / 2) / 4)


def test_majority_at_2_as_nemo_skills_has_it_is_that_of_the_first_two_samples() -> None:
    """7 7 -> 1; 9 8 tied, both wrong -> 0; none none -> 0; 7 7 -> 1. Its majority@1 does not exist: pass@1 stands."""
    analysis = analyze_run(run_of(FOUR))
    by_k = {row["k"]: row for row in analysis["by_k"]}
    assert by_k[2]["majority@k[nemo]"]["value"] == pytest.approx(1 / 2)
    assert by_k[4]["majority@k[nemo]"]["value"] == rate(run_of(FOUR), "majority@4[nemo]")
    assert by_k[1]["majority@k[nemo]"] == by_k[1]["pass@k"]
    own, nemo = (describe_analysis(analysis | {"majority": which}) for which in ("own", "nemo"))
    assert ("majority@k[nemo]" in nemo, "[nemo]" in own) == (True, False)
    late = run_of({"a": [right(), right(), MISSING, MISSING]})  # they are not among the first two
    by_k = {row["k"]: row["majority@k[nemo]"] for row in analyze_run(late)["by_k"]}
    assert (by_k[2]["lower"], by_k[4]["lower"]) == (1, None)


def test_majority_averages_over_ties_and_a_missing_answer_is_a_vote_of_its_own() -> None:
    assert rate(run_of(FOUR), "majority@4") == pytest.approx((1 + 1 / 4 + 0 + 1 / 2) / 4)  # 7/16


def test_majority_as_nemo_skills_leaves_missing_answers_out() -> None:
    """two: without the sample that has no answer three clusters tie: 1/3. All None: 0."""
    assert rate(run_of(FOUR), "majority@4[nemo]") == pytest.approx((1 + 1 / 3 + 0 + 1 / 2) / 4)
    assert rate(run_of({"a": [SILENT, SILENT]}), "majority@2[nemo]") == 0
    two_to_one = {"a": [SILENT, SILENT, right()]}  # one vote in upstream, three clusters here
    assert rate(run_of(two_to_one), "majority@3[nemo]") == 1
    assert rate(run_of(two_to_one), "majority@3") == pytest.approx(1 / 3)


def test_an_answer_that_was_scored_both_ways_is_one_cluster_here_and_two_in_nemo_skills() -> None:
    """7 is scored 1, 1, 0 and 9 twice 0: one cluster of mean 2/3; upstream has (7, 1) twice, (9, 0) twice: 1/2."""
    rows = {"a": [right("7"), right("7"), ("7", 0.0, None), wrong("9"), wrong("9")]}
    assert rate(run_of(rows), "majority@5") == pytest.approx(2 / 3)
    assert rate(run_of(rows), "majority@5[nemo]") == pytest.approx(1 / 2)


def test_no_answer_is_the_share_of_samples_and_of_cases_without_any() -> None:
    run = run_of(FOUR | {"five": [SILENT] * 4})
    assert rate(run, "pass@1[avg-of-4]", "no_answer") == pytest.approx((0 + 1 / 4 + 2 / 4 + 0 + 1) / 5)
    for mode in ("majority@4", "pass@4", "pass^4"):
        assert rate(run, mode, "no_answer") == pytest.approx(1 / 5)


def test_the_headline_has_the_standard_error_of_the_case_means() -> None:
    """Means 3/4, 1/4, 0, 1/2 around 3/8: squares (9 + 1 + 9 + 1)/64, / 3, root, / root of 4."""
    headline = analyze_run(run_of(FOUR))["headline"]
    se = sqrt(20 / 64 / 3) / 2
    assert (headline["method"], headline["mode"]) == ("symbolic_correct", "pass@1[avg-of-4]")
    assert headline["se"] == pytest.approx(se)
    assert headline["interval_95"] == pytest.approx([3 / 8 - 1.959964 * se, 3 / 8 + 1.959964 * se])
    assert headline["wilson_95"] is None
    assert analyze_run(run_of({"one": FOUR["one"]}))["headline"]["se"] is None


def test_one_binary_sample_a_case_has_wilsons_interval() -> None:
    """3 of 4, z = 1.96: (0.75 + 0.4802 -+ 0.6286) / 1.9604 (Brown, Cai, DasGupta)."""
    run = run_of({"a": [right()], "b": [right()], "c": [right()], "d": [wrong()]})
    headline = analyze_run(run)["headline"]
    assert headline["mode"] == "pass@1"
    assert headline["wilson_95"] == pytest.approx([0.3006, 0.9544], abs=2e-4)
    assert [row["mode"] for row in analyze_run(run)["modes"]] == ["pass@1"]


def test_the_spread_between_runs_is_upstreams() -> None:
    """Upstream's own example, 3 samples x 4 attempts: run means 2/3, 2/3, 2/3, 1/3 (its text), SD with n - 1."""
    rows = {
        "a": [right(), wrong(), right(), wrong()],
        "b": [right(), right(), wrong(), wrong()],
        "c": [wrong(), right(), right(), right()],
    }
    found = analyze_run(run_of(rows))["run_statistics"]["symbolic_correct"]
    assert found["runs"] == 4
    assert found["sd"] == pytest.approx(1 / 6)  # of 2/3, 2/3, 2/3, 1/3
    assert found["se"] == pytest.approx(1 / 12)
    assert found["sample_sd"] == pytest.approx((2 * sqrt(1 / 3) + sqrt(1 / 4)) / 3)


def test_missing_samples_are_wrong_in_the_value_and_right_in_the_upper_bound() -> None:
    """one: 2 of 4 with one missing; two: 1 of 4 with two missing. Mean 3/8, upper (3/4 + 3/4) / 2."""
    rows = {"one": [right(), MISSING, wrong(), right()], "two": [MISSING, wrong(), MISSING, right()]}
    run = run_of(rows)
    assert bounds(run, "pass@1[avg-of-4]") == pytest.approx((3 / 8, 3 / 8, 3 / 4))
    assert bounds(run, "pass@4") == (1, 1, 1)
    assert bounds(run, "pass^4") == (0, 0, 0)
    analysis = analyze_run(run)
    assert (analysis["planned"], analysis["recorded"], analysis["missing"]) == (8, 5, 3)
    assert (analysis["complete"], analysis["ungraded"]) == (False, 0)
    by_k = {row["k"]: row for row in analysis["by_k"]}
    # c = 2 and 1 of 4, at most 3 and 3: 1 - C(4-c,2)/6 = 5/6, 1/2; at most 1, 1.
    assert (by_k[2]["pass@k"]["value"], by_k[2]["pass@k"]["upper"]) == pytest.approx((2 / 3, 1))
    assert (by_k[2]["pass^k"]["value"], by_k[2]["pass^k"]["upper"]) == pytest.approx((1 / 12, 1 / 2))
    assert (by_k[2]["pass@k"].get("cases_below_k"), by_k[4]["pass@k"]["cases_below_k"]) == (None, 2)
    assert analysis["run_statistics"]["symbolic_correct"] is None
    assert analysis["headline"]["se"] is None


def test_more_samples_than_are_planned_have_no_pass_at_k() -> None:
    found = pass_figure({"a": (1.0, 0.0), "b": (1.0, 0.0, 1.0)}, 3)
    assert (found["value"], found["cases_below_k"]) == (None, 1)
    assert found["why"] == "1 of 2 cases have fewer than 3 samples"
    two = majority_figure(score_run(run_of({"a": [right(), wrong()]})), "symbolic_correct", 3)
    assert (two["value"], two["cases_below_k"]) == (None, 1)


def test_a_run_without_any_trial_is_bounded_by_nothing_and_all() -> None:
    run = run_of({"a": [MISSING, MISSING], "b": [MISSING, MISSING]})
    for mode in ("pass@1[avg-of-2]", "pass@2", "pass^2", "majority@2"):
        assert bounds(run, mode) == (0, 0, 1)
    assert bounds(run, "pass@2", "no_answer") == (0, 0, 1)
    describe_analysis(analyze_run(run))


def test_what_missing_samples_can_do_to_a_majority() -> None:
    # 9 has 2 votes, 7 has 1; one is missing: with 7 it ties, mean 1/2; own upper bound: 7 alone could score 1.
    assert bounds(run_of({"a": [wrong("9"), wrong("9"), right(), MISSING]}), "majority@4") == (0, 0, 1)
    # 7 has 3 of 4 votes: it wins whatever the last one is; upper and lower bound its mean with that vote.
    value, lower, upper = bounds(run_of({"a": [right(), right(), right(), MISSING]}), "majority@4")
    assert (value, lower, upper) == pytest.approx((1, 3 / 4, 1))
    # Two missing may agree on an answer of their own.
    assert bounds(run_of({"a": [right(), right(), MISSING, MISSING]}), "majority@4") == (1, 0, 1)


def test_ungraded_samples_of_a_judges_case_are_bounded_and_counted() -> None:
    rows = {"a": [("x", None, 1.0), ("x", None, None)], "b": [("y", None, 0.0), (None, None, None)]}
    run = run_of(rows, kinds={"a": "judge", "b": "judge"})
    analysis = analyze_run(run)
    assert analysis["methods"] == ["judge_correct"]
    assert (analysis["ungraded"], analysis["missing"], analysis["complete"]) == (2, 0, False)
    assert bounds(run, "pass@1[avg-of-2]", "judge_correct") == pytest.approx((1 / 4, 1 / 4, 3 / 4))
    assert bounds(run, "majority@2", "judge_correct") == pytest.approx((1 / 4, 1 / 4, 3 / 4))
    assert headline_scores(run) == {"a": (1.0, None), "b": (0.0, None)}
    assert "bench judge" in describe_analysis(analysis)


def test_both_verdicts_stand_side_by_side() -> None:
    """Symbolic 1, 1, 0, 0; judge 1, 0, 1, 0: both 1/4, any 3/4. The kind decides which is the headline."""
    rows = {"a": [("x", 1.0, 1.0), ("x", 1.0, 0.0)], "b": [("y", 0.0, 1.0), (None, 0.0, 0.0)]}
    run = run_of(rows, kinds={"a": "judge", "b": "judge"})
    assert analyze_run(run)["methods"] == ["judge_correct", "symbolic_correct", "both_correct", "any_correct"]
    for method, value in {
        "judge_correct": 1 / 2, "symbolic_correct": 1 / 2, "both_correct": 1 / 4, "any_correct": 3 / 4,
    }.items():  # fmt: skip
        assert rate(run, "pass@1[avg-of-2]", method) == pytest.approx(value)
    assert score_name(run) == "judge_correct pass@1[avg-of-2]"
    assert score_name(run_of(rows)) == "symbolic_correct pass@1[avg-of-2]"


def test_one_verdict_alone_may_decide_both_and_any() -> None:
    rows = {"a": [("x", 0.0, 1.0), ("x", 1.0, None), ("x", 0.0, None)]}
    run = run_of(rows)
    assert bounds(run, "pass@1[avg-of-3]", "both_correct") == pytest.approx((0, 0, 1 / 3))
    assert bounds(run, "pass@1[avg-of-3]", "any_correct") == pytest.approx((2 / 3, 2 / 3, 1))


def test_a_run_of_several_kinds_is_decided_by_the_verdict_of_each() -> None:
    rows = {"a": [("x", None, 1.0)], "b": [("y", 1.0, None)], "c": [("y", 0.0, None)]}
    run = run_of(rows, kinds={"a": "judge"})
    assert analyze_run(run)["methods"] == ["correct", "judge_correct", "symbolic_correct"]
    assert rate(run, "pass@1", "correct") == pytest.approx(2 / 3)
    assert rate(run, "pass@1", "judge_correct") == 1
    assert rate(run, "pass@1", "symbolic_correct") == pytest.approx(1 / 2)
    assert score_name(run) == "correct pass@1"


def test_scores_that_are_not_binary_have_no_pass_at_k() -> None:
    run = run_of({"a": [("x", 0.5, None), ("x", 1.0, None)]}, kinds={"a": "external"})
    assert rate(run, "pass@1[avg-of-2]") == pytest.approx(3 / 4)
    assert figure(run, "pass@2")["value"] is None
    assert figure(run, "pass@2")["why"] == "a score is neither 0 nor 1"


def test_families_are_apart_and_their_cases_add_up() -> None:
    families = {"one": "algebra", "two": "algebra", "three": "geometry"}
    analysis = analyze_run(run_of(FOUR, families=families))
    rows = {row["family"]: row for row in analysis["families"]}
    assert {name: row["cases"] for name, row in rows.items()} == {"": 1, "algebra": 2, "geometry": 1}
    assert rows["algebra"]["mean"]["value"] == pytest.approx(1 / 2)
    assert rows["algebra"]["majority"]["value"] == pytest.approx((1 + 1 / 4) / 2)
    assert rows["algebra"]["se"] == pytest.approx(sqrt(2 * (1 / 4) ** 2) / sqrt(2))
    assert rows["geometry"]["pass"]["value"] == 0
    assert "(none)" in describe_analysis(analysis)


def test_costs_are_of_the_samples_that_report_them() -> None:
    run = run_of(FOUR, tokens=12)
    assert analyze_run(run)["modes"][0]["avg_tokens"] == 12
    assert analyze_run(run)["modes"][0]["gen_seconds"] is None
    silent = analyze_run(run_of(FOUR, tokens=None))
    assert silent["modes"][0]["avg_tokens"] is None
    assert silent["tokens"]["without_count"] == 16


def test_statuses_are_counted() -> None:
    run = run_of({"a": [right(), MISSING]}, status="max_tokens_reached")
    assert analyze_run(run)["statuses"] == {"max_tokens_reached": 1}


def test_the_table_shows_the_majority_that_was_chosen() -> None:
    own, nemo = (describe_analysis(analyze_run(run_of(FOUR, majority=name))) for name in ("own", "nemo"))
    assert "majority@4 " in own
    assert "43.75%" in own
    assert "[nemo]" not in own
    assert "majority@4[nemo]" in nemo
    assert "45.83%" in nemo


def test_the_table_has_upstreams_columns() -> None:
    first, header, row, *_ = describe_analysis(analyze_run(run_of(FOUR))).splitlines()
    assert first.strip("-").strip() == "samples: model"
    names = ["evaluation_mode", "num_entries", "avg_tokens", "gen_seconds", "symbolic_correct", "no_answer"]
    assert [cell.strip() for cell in header.split("|")] == names
    assert [cell.strip() for cell in row.split("|")] == ["pass@1[avg-of-4]", "4", "10", "-", "37.50%", "18.75%"]


def test_the_table_shows_bounds_and_escapes_what_comes_from_files() -> None:
    rows = {"a": [right(), MISSING], "b": [right(), right()]}
    run = run_of(rows, families={"a": "\x1b[31mred"}, import_notes=["\x1b[2J"])
    text = describe_analysis(analyze_run(run))
    assert "75.00% to 100.00%" in text
    assert "\x1b" not in text


def test_the_case_scores_have_none_for_what_is_missing() -> None:
    assert headline_scores(run_of({"a": [right(), MISSING]})) == {"a": (1.0, None)}
