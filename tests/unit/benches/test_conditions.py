"""What differs between the conditions of two starts."""

from __future__ import annotations

from autoresearch.benches.conditions import current_versions, differences, sampling_record
from autoresearch.testing.fake_suite import FakeSuite
from tests.engine_world import CASES, meta_of

META = meta_of(FakeSuite(), CASES)


def test_equal_conditions_do_not_differ_and_samples_may_grow() -> None:
    assert differences(META, META) == []
    assert differences(META, META.model_copy(update={"samples": 9, "base_url": "http://x/v1", "versions": {}})) == []


def test_every_difference_is_named() -> None:
    other = META.model_copy(update={"model": "b", "limits": {"max_turns": 2.0, "more": 1.0}, "samples": 1})
    assert differences(META, other) == [
        "model: fake-model, now b",
        "limits.max_turns: 1.0, now 2.0",
        "limits.more: none, now 1.0",
        "samples: 2, now 1 (they may grow, not shrink)",
    ]


def test_a_long_value_is_shortened() -> None:
    (text,) = differences(META, META.model_copy(update={"options": {"loud": "x" * 1000}}))
    assert len(text) < 200


def test_sampling_as_sent_keeps_what_was_refused_apart() -> None:
    asked = {"temperature": 0.7, "top_p": None, "max_tokens": 9, "seed": 3}
    assert sampling_record(asked, ()) == {**asked, "refused": {}}
    assert sampling_record(asked, ("seed", "top_p")) == {**asked, "seed": None, "refused": {"seed": 3}}


def test_versions_name_this_program() -> None:
    assert current_versions()["autoresearch"]
    assert "python" in current_versions()
