"""The type of a knob's column."""

from __future__ import annotations

import pytest

from autoresearch.errors import JournalError
from autoresearch.report.trial_export.knob_columns import MAX_INT, as_kind, knob_columns


@pytest.mark.parametrize(
    ("entry", "own", "kind"),
    [
        ({"type": "int", "low": 1, "high": 8, "default": 2}, 2, "int"),
        ({"type": "float", "low": 0, "high": 1, "default": 0}, 0, "float"),
        ({"type": "float", "low": 1e-4, "high": 1e-2, "log": True, "default": 1e-3}, 1e-3, "float"),
        ({"type": "choice", "choices": [64, 128], "default": 64}, 64, "int"),
        ({"type": "choice", "choices": ["fp32", "bf16"], "default": "fp32"}, "fp32", "text"),
        ({"type": "choice", "choices": ["1", "2"], "default": "1"}, "1", "text"),
        ({"type": "int", "low": 1, "high": 2**70, "default": 1}, 1, "text"),
        ({"type": "int", "low": 1, "high": 8, "default": 2}, 2.5, "float"),
    ],
)
def test_a_column_holds_every_value_of_its_knob(entry, own, kind, everything):
    meta = everything[0].model_copy(update={"menu": {"knobs": {"k": entry}}, "baseline_cfg": {"k": own, "other": "x"}})
    assert knob_columns(meta) == {"k": kind, "other": "text"}


def test_a_value_keeps_its_meaning_in_the_type_of_its_column():
    assert as_kind("k", 3.0, "int") == 3
    assert isinstance(as_kind("k", 3, "float"), float)
    assert as_kind("k", 2**70, "text") == str(2**70)
    for value, kind in ((2.5, "int"), ("x", "int"), ("x", "float"), (MAX_INT + 1, "int")):
        with pytest.raises(JournalError, match="k = "):
            as_kind("k", value, kind)
