"""The header of an exported script says what the verdict on its configuration rests on."""

from __future__ import annotations

from collections.abc import Callable

from autoresearch.report.export.header import build_header
from autoresearch.report.export.recipe import Recipe

VERDICT = "confirmed over 4 seeds, gain +1.12% (interval +0.75 to +1.49%)"


def header(recipe: Recipe) -> str:
    return " ".join(build_header(recipe, "not tested").replace("#", " ").split())


def test_a_confirmed_keep_has_its_verdict(make_recipe: Callable[..., Recipe]) -> None:
    text = header(make_recipe(source={"verdict": VERDICT}))
    assert f"val_bpb 1.2000 (baseline 1.3000), {VERDICT}." in text
    assert "luck" not in text


def test_by_rule_threshold_part_of_the_gain_may_be_luck(make_recipe: Callable[..., Recipe]) -> None:
    assert "the best of all candidates, so part of its gain may be luck." in header(make_recipe())
