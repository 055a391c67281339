"""What should drive the loop tonight: each decision, its reason, its command, and what a model has to prove."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from autoresearch.benches.tonight.candidate import NO_DATA, Candidate
from autoresearch.benches.tonight.evidence import OtherRun, build_evidence, failure_classes, find_bottleneck
from autoresearch.benches.tonight.text import describe_evidence
from autoresearch.benches.tonight.verdict import MAX_MORE_SEEDS, MIN_SEEDS, Tonight, decide_tonight

SEEDS = range(24)
NOISE = [0.004 * ((7 * seed) % 11 - 5) / 5 for seed in SEEDS]  # a spread of its own


def candidate(
    proposer: str, regret: float, model: str | None = None, seeds: int = 24, wobble: float = 0.0
) -> Candidate:
    """A candidate with this mean regret; ``wobble`` is the SD of a scatter that TPE does not share."""
    values = {seed: regret + NOISE[seed] + wobble * (-1) ** (seed // 3) for seed in SEEDS if seed < seeds}
    return Candidate(proposer, model, values)


TPE = candidate("tpe", 0.020)
RANDOM = candidate("random", 0.035)


def decide(*models: Candidate) -> Tonight:
    return decide_tonight([TPE, RANDOM, *models])


def test_a_model_that_beats_tpe_is_chosen():
    found = decide(replace(candidate("hybrid", 0.010, "acme/m-8b"), base_url="http://localhost:8000/v1"))
    assert (found.decision, found.headline) == ("model", "Hybrid with acme/m-8b")
    assert found.choice is not None
    assert found.reason.startswith(
        "hybrid with acme/m-8b has a regret 0.0100 lower than TPE after 30 trials (24 seeds, "
    )
    evidence = build_evidence(found, [])
    words = "autoresearch run --proposer hybrid --model acme/m-8b --base-url http://localhost:8000/v1"
    assert evidence.command == words
    assert [row.candidate.name for row in found.rows] == ["hybrid with acme/m-8b", "tpe", "random"]


def test_a_winner_that_is_slower_is_said_to_be_behind_in_the_same_time():
    slow = replace(candidate("hybrid", 0.010, "m"), at_clock=candidate("hybrid", 0.030).regret)
    found = decide_tonight([replace(TPE, at_clock=TPE.regret), slow])
    assert found.decision == "model"
    assert "In TPE's time for 30 trials it is behind: 95% interval of its gain -0.0100 to -0.0100" in found.reason


def test_random_is_never_chosen():
    found = decide_tonight([TPE, candidate("random", 0.001)])
    assert (found.decision, found.headline) == ("tpe", "TPE alone: no model was measured")


def test_no_model_beats_tpe():
    found = decide(candidate("hybrid", 0.030, "m"), candidate("llm", 0.021, "m"))
    assert (found.decision, found.headline) == ("tpe", "TPE alone: no model beat it")
    assert build_evidence(found, []).command == "autoresearch run --proposer tpe"
    assert "The best model: llm with m has a regret 0.0010 higher than TPE" in found.reason


def test_a_lead_that_may_be_chance_asks_for_seeds():
    found = decide(candidate("hybrid", 0.0155, "m", wobble=0.012))
    row = next(row for row in found.rows if row.candidate.model)
    assert row.gain is not None
    assert row.gain > 0
    assert found.decision == "cannot tell"
    assert found.headline == f"Cannot tell: {row.more_seeds} more seeds"
    assert f"may be chance. Continue its run with -k {24 + (row.more_seeds or 0)}" in found.reason
    assert build_evidence(found, []).command == "autoresearch run --proposer tpe"


def test_a_lead_that_too_many_seeds_would_show_is_none():
    found = decide(candidate("hybrid", 0.0192, "m", wobble=0.012))
    row = next(row for row in found.rows if row.candidate.model)
    assert row.gain is not None
    assert row.gain > 0
    assert row.more_seeds is not None
    assert row.more_seeds > MAX_MORE_SEEDS
    assert found.decision == "tpe"
    assert "seeds to show a lead as small as this" in found.reason


def test_few_seeds_are_not_evidence_against_a_model():
    found = decide(candidate("hybrid", 0.030, "m", seeds=5))
    assert (found.decision, found.headline) == ("cannot tell", f"Cannot tell: {MIN_SEEDS - 5} more seeds")
    assert "5 seeds in common with TPE; 20 are needed" in found.reason


def test_several_models_have_to_pay_for_their_number():
    lead = candidate("hybrid", 0.0143, "m0", wobble=0.0115)
    alone = next(row for row in decide(lead).rows if row.candidate.model)
    assert alone.p is not None
    assert alone.p == alone.p_holm
    assert alone.p < 0.05
    assert decide(lead).decision == "model"
    others = [candidate("hybrid", 0.020 + 0.0002 * n, f"m{n}", wobble=0.02) for n in range(1, 9)]
    found = decide(lead, *others)
    row = next(row for row in found.rows if row.candidate.model == "m0")
    assert row.p == alone.p
    assert row.p_holm == pytest.approx(9 * alone.p)
    assert found.decision == "cannot tell"


def test_of_two_winners_the_lower_regret_is_chosen():
    found = decide(candidate("hybrid", 0.010, "m"), candidate("llm", 0.008, "m"))
    assert found.headline == "Llm with m"
    assert "hybrid with m also beat TPE" in found.reason


def test_only_common_seeds_are_paired():
    shifted = Candidate("hybrid", "m", {seed + 12: value - 0.01 for seed, value in TPE.regret.items()})
    row = next(row for row in decide(shifted).rows if row.candidate.model)
    assert (row.seeds, row.paired) == (24, 12)


@pytest.mark.parametrize("candidates", [[], [RANDOM], [candidate("hybrid", 0.01, "m")], [Candidate("tpe", None, {})]])
def test_without_tpe_there_is_nothing_to_compare_with(candidates):
    found = decide_tonight(candidates)
    assert (found.decision, found.choice) == ("cannot tell", None)
    assert found.headline.startswith("Cannot tell: no")
    assert "bench run proposer" in build_evidence(found, []).command
    assert describe_evidence(build_evidence(found, []))


def test_the_bottleneck_is_the_diagnosis_or_the_largest_loss():
    llm = replace(candidate("hybrid", 0.03, "m"), proposals=100, failures={"repeat": 35, "R1_schema": 4})
    assert find_bottleneck([TPE, llm], []) == "repeat: 35 of 100 proposals of hybrid with m (35%) are lost to it."
    few = replace(llm, failures={"repeat": 2})
    assert find_bottleneck([TPE, few], []).startswith("The model: ")
    no_data = replace(llm, failures={NO_DATA: 90, "repeat": 20})
    assert find_bottleneck([TPE, no_data], []).startswith("repeat: 20 of 100 proposals")
    other = OtherRun(
        "r", "research", "m", "Accuracy@1 0.0%", diagnosis="the bottleneck is the retrieval: it loses 3 of 3"
    )
    assert find_bottleneck([llm], [other]) == "m: the bottleneck is the retrieval: it loses 3 of 3"
    assert find_bottleneck([TPE], []).startswith("Not known")


def test_the_page_in_its_order():
    llm = replace(
        candidate("hybrid", 0.010, "m"),
        proposals=100,
        failures={"repeat": 35},
        missing=2,
        proposal_s=3.0,
        proposal_j=50.0,
    )
    others = [OtherRun("runs/s", "samples", "m", "pass@1 50.0%", incomplete="3 of 9 planned samples have no trial")]
    evidence = build_evidence(decide(llm), others)
    text = describe_evidence(evidence)
    parts = ["Hybrid with m", "autoresearch run --proposer", "regret after 30", "Against the clock", "Proposals lost"]
    parts += ["Other runs", "Bottleneck: repeat: 35", "Incomplete:", "2 planned seeds", "runs/s: 3 of 9"]
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert failure_classes([TPE, llm]) == {"repeat": {"tpe": 0, "hybrid with m": 35}}
    assert json.loads(json.dumps(evidence.as_json(), allow_nan=False))["tonight"]["decision"] == "model"


def test_the_terminal_gets_no_control_characters():
    evil = candidate("hybrid", 0.010, "m\x1b[31m\n\u202e")
    text = describe_evidence(build_evidence(decide(evil), [OtherRun("r\x1b", "x", "\x07", "h", incomplete="\x00")]))
    assert text.isprintable() or {c for c in text if not c.isprintable()} == {"\n"}
