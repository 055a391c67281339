"""A suite's figures of any shape as tables: every value is shown, counted or named."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.pages.tables import MAX_ROWS, Table, cell, tables_of

json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=4))
def test_any_json_is_shown_and_every_row_has_the_columns_of_its_head(figures):
    for table in tables_of(figures):
        assert all(len(row) == len(table.head) for row in table.rows)
        assert len(table.classes) == len(table.head)
        assert all(cell.isprintable() for row in table.rows for cell in row)


def test_shapes():
    figures = {
        "planned": 1234,
        "rate": 0.43219,
        "none": None,
        "pass_at_k": {"1": 0.5, "2": None},
        "families": {"hr": {"cases": 3, "pass": 0.5}, "crm": {"cases": 4, "extra": True}},
        "losses": [{"loss": "format", "n": 3}, {"loss": "context", "n": 4}],
        "modes": [{"mode": "pass@1", "rates": {"correct": {"value": 0.5, "lower": 0.25, "upper": 0.75}, "n": 3}}],
        "deep": {"er": {"a": {"b": {"c": {"d": {"e": 1}}}}}},
        "estimate": {"value": 0.5, "lower": 0.5, "upper": 0.5},
    }
    assert tables_of(figures) == [
        Table("figures", ("", ""), (("planned", "1,234"), ("rate", "0.4322"), ("none", "-"), ("estimate", "0.5"))),
        Table("pass at k", ("", ""), (("1", "0.5"), ("2", "-"))),
        Table("families", ("", "cases", "pass", "extra"), (("hr", "3", "0.5", ""), ("crm", "4", "", "yes"))),
        Table("losses", ("loss", "n"), (("format", "3"), ("context", "4"))),
        Table("modes", ("mode", "rates: correct", "rates: n"), (("pass@1", "0.5 [0.25, 0.75]", "3"),)),
        Table("deep: er: a", ("", "c: d: e"), (("b", "1"),)),
    ]


def test_rows_that_are_not_shown_are_counted():
    (table,) = tables_of({"rows": [{"n": n} for n in range(MAX_ROWS + 7)]})
    assert (len(table.rows), table.left_out) == (MAX_ROWS, 7)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "yes"),
        (-1234, "\N{MINUS SIGN}1,234"),
        (1e-7, "1e-07"),
        (123456.7, "123,457"),
        ([], "-"),
        ([1, "a", None], "1, a, -"),
        (list(range(20)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ... (20)"),
        ("a\nb\x1b", "a b\\x1b"),
    ],
)
def test_cells(value, text):
    assert cell(value) == text


def test_a_column_of_numbers_is_aligned_to_the_right():
    table = Table("", ("", "n", "text", "interval"), (("1", "3", "x", "-0.1 to +2.5"), ("2", "-", "4", "-")))
    assert [bool(c) for c in table.classes] == [False, True, False, True]
