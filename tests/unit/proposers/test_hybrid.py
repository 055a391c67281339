from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.core.ports import Interrupted, Reply
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.hybrid import HybridProposer, is_llm_iteration
from autoresearch.testing.scripted_proposer import ScriptedProposer

PERCENT = st.integers(0, 100)


def turns(iters: int, share: float) -> list[int]:
    return [n for n in range(1, iters + 1) if is_llm_iteration(n, share)]


@given(PERCENT, st.integers(0, 2000))
def test_the_model_gets_its_share_to_the_turn(percent, iters):
    exact = Fraction(percent, 100)  # 0.3 is a little less, and must not cost a turn
    assert len(turns(iters, percent / 100)) == math.floor(iters * exact)


@given(PERCENT, st.integers(1, 500), st.integers(1, 100))
def test_turns_are_evenly_spread(percent, start, window):
    count = sum(is_llm_iteration(n, percent / 100) for n in range(start, start + window))
    assert abs(count - window * Fraction(percent, 100)) < 1


def test_the_default():
    assert turns(20, 0.3) == [4, 7, 10, 14, 17, 20]
    assert turns(5, 0) == []
    assert turns(5, 1) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(("share", "source"), [(0.0, "tpe"), (1.0, "nim")])
def test_one_of_the_two_proposes_and_the_other_is_not_asked(share, source):
    both = {name: ScriptedProposer([name, name], name) for name in ("tpe", "nim")}
    hybrid = HybridProposer(both["tpe"], both["nim"], share)
    assert hybrid.propose(Trajectory(), []) == Reply(source, source)
    assert [name for name, proposer in both.items() if proposer.asked] == [source]


def test_an_interruption_comes_through():
    hybrid = HybridProposer(ScriptedProposer([]), ScriptedProposer([Interrupted("stop"), "x"]), 1.0)
    with pytest.raises(Interrupted):
        hybrid.propose(Trajectory(), [])
    assert hybrid.propose(Trajectory(), []).raw == "x"
