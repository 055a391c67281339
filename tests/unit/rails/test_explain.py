"""A verdict rail by rail."""

from __future__ import annotations

import pytest

from rails import Estimate, Outcome, Rail, default_menu, explain, gate
from rails.explain import CHECKS, ORDER

GOOD = '{"knob": "lr", "new_value": 0.001, "reason": "x"}'
BASELINE = default_menu().defaults
REFUSED = {
    Rail.R1_SCHEMA: "",
    Rail.R2_MENU: GOOD.replace('"lr"', '"rl"'),
    Rail.R3_RANGE: GOOD.replace("0.001", "7"),
    Rail.R4_CROSS: GOOD.replace('"lr"', '"lr_warmup"').replace("0.001", "50"),
    Rail.R6_NOVELTY: GOOD.replace("0.001", "3e-4"),
    Rail.R7_BUDGET: GOOD,
}


@pytest.mark.parametrize("rail", REFUSED)
def test_the_rails_before_passed_and_those_after_were_not_reached(rail):
    verdict = gate(REFUSED[rail], BASELINE, estimate=lambda _: Estimate(1, 9.0))
    outcomes = explain(verdict)
    at = ORDER.index(rail)
    assert [o.rail for o in outcomes] == list(ORDER)
    assert {o.outcome for o in outcomes[:at]} <= {Outcome.PASSED}
    assert (outcomes[at].outcome, outcomes[at].reason) == (Outcome.REFUSED, verdict.reason)
    assert {o.outcome for o in outcomes[at + 1 :]} <= {Outcome.NOT_REACHED}
    assert [o.reason for o in outcomes if o.outcome is not Outcome.REFUSED] == [""] * 6


def test_a_verdict_that_passes_passed_every_rail_but_those_that_could_not_check():
    outcomes = explain(gate(GOOD, BASELINE), {Rail.R7_BUDGET: "no device"})
    assert [o.outcome for o in outcomes] == [*[Outcome.PASSED] * 6, Outcome.NOT_CHECKED]
    assert [o.rail for o in outcomes] == list(ORDER)
    assert outcomes[-1].reason == "no device"


def test_a_rail_that_was_not_reached_is_not_called_unchecked():
    outcomes = explain(gate("", BASELINE), {Rail.R7_BUDGET: "no device"})
    assert outcomes[-1].outcome is Outcome.NOT_REACHED


def test_every_rail_has_words():
    assert list(CHECKS) == list(ORDER)
    assert [o.checks for o in explain(gate(GOOD, BASELINE))] == list(CHECKS.values())
