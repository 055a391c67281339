"""The bounds of a vote hold: no completion of a run leaves them."""

from __future__ import annotations

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch.benches.samples.figures import majority_figure
from autoresearch.benches.samples.scores import SYMBOLIC, Sample, ScoredCase
from tests.examples import examples

ANSWERS = ("a", "b", None)
PRESENT = st.builds(Sample, st.just(True), st.sampled_from(ANSWERS), st.none(), st.sampled_from((0.0, 1.0, None)))
SAMPLES = st.lists(st.one_of(PRESENT, st.just(Sample(recorded=False))), min_size=1, max_size=5)


def completions(samples: list[Sample]) -> list[tuple[Sample, ...]]:
    """Every way to fill what is not known: any answer, also one of its own, with any score."""
    ways = []
    for sample in samples:
        answers = [sample.answer] if sample.recorded else [*ANSWERS, "new"]
        scores = [sample.symbolic] if sample.symbolic is not None else [0.0, 1.0]
        ways.append([Sample(True, answer, None, score) for answer, score in product(answers, scores)])
    return list(product(*ways))


@settings(max_examples=examples(60))
@given(SAMPLES.filter(lambda samples: sum(not s.recorded for s in samples) <= 2))
def test_no_completion_leaves_the_bounds(samples: list[Sample]) -> None:
    k = len(samples)
    found = majority_figure([ScoredCase("a", "math", "", tuple(samples))], SYMBOLIC, k)
    for whole in completions(samples):
        complete = majority_figure([ScoredCase("a", "math", "", whole)], SYMBOLIC, k)
        assert found["lower"] - 1e-12 <= complete["value"] <= found["upper"] + 1e-12


@given(SAMPLES)
def test_the_value_lies_within_its_bounds(samples: list[Sample]) -> None:
    found = majority_figure([ScoredCase("a", "math", "", tuple(samples))], SYMBOLIC, len(samples))
    assert 0 <= found["lower"] <= found["value"] + 1e-12
    assert found["value"] <= found["upper"] + 1e-12 <= 1 + 2e-12
