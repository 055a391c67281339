"""A row as JSON: short, printable, and what is not a number is null."""

from __future__ import annotations

import json

import pytest

from autoresearch.report.history import Row
from autoresearch.web.row_json import FIELDS, describe_change, encode_row


def test_a_row_is_one_line_whatever_its_texts():
    row = Row(
        1, "evaluated", knob="lr\n\u2028", new_value="\ud800</script>", why="\x1b[31m" + "x" * 5000, source="a\tb"
    )
    data = encode_row(row)
    assert b"\n" not in data
    assert len(data) < 1500
    assert len(json.loads(data)) == len(FIELDS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), None])
def test_what_is_not_a_number_is_null(value):
    fields = json.loads(encode_row(Row(1, "evaluated", val_bpb=value, improvement_frac=value)))
    assert fields[2:4] == [None, None]


def test_a_tiny_result_is_not_rounded_to_zero():
    assert json.loads(encode_row(Row(1, "evaluated", val_bpb=1.23e-9)))[2] == pytest.approx(1.23e-9)


def test_a_change_has_six_digits_and_several_are_side_by_side():
    assert describe_change(Row(1, "evaluated", knob="lr", new_value=0.00123456789)) == "lr = 0.00123457"
    both = Row(1, "evaluated", knob="lr, beta1", new_value="0.001, 0.9", several=(("lr", 0.001), ("beta1", 0.9)))
    assert describe_change(both) == "lr = 0.001, beta1 = 0.9"
    assert describe_change(Row(1, "blocked")) == "-"
