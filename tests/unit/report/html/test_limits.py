"""The limits of a run's numbers are those of this run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autoresearch.report.html.limits import describe_limits
from autoresearch.report.native import build_history
from autoresearch.report.summary import summarise
from tests.unit.report.conftest import Run

TITLE = "Validation text in train"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0363, "3.6% of the validation text occurs verbatim in the train text"),
        (None, "is not recorded: an earlier version prepared the corpus"),
        (0.0, ""),
    ],
)
def test_validation_text_in_train_is_a_limit(night: Run, share: float | None, text: str) -> None:
    history = replace(build_history(night.complete().records), val_overlap=share)
    found = dict(describe_limits(summarise(history), history))
    assert (TITLE in found) == bool(text)
    assert text in found.get(TITLE, "")
