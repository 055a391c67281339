"""Anyone's repeats become noise, or an error that says what is wrong with them."""

import pytest

from autoresearch.errors import CorpusError
from autoresearch.verdicts.repeats import parse_repeats, relative_residuals


def residuals(text):
    return relative_residuals(parse_repeats(text))


def test_residuals_are_relative_to_their_group_and_scaled_to_one_measurement():
    found = residuals("group,value\na,1.0\na,3.0\nb,10\nb,10\nb,13\nalone,5\n")
    a, b = 2**0.5, 1.5**0.5 / 11
    assert found == pytest.approx([-0.5 * a, 0.5 * a, -b, -b, 2 * b])
    assert sum(found) == pytest.approx(0)


def test_the_columns_are_found_in_any_order_and_case():
    assert residuals("\ufeffValue, GROUP\n1,a\n3,a\n\n") == residuals("group,value\na,1\na,3\n")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separator_and_line_ends_are_those_of_the_file(separator, end):
    rows = (("group", "note", "value"), ("a\u2028b", "", "1"), ('"a\u2028b"', "x", "3"), ("", "", ""))
    assert parse_repeats(end.join(map(separator.join, rows))) == {"a\u2028b": [1.0, 3.0]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "first line is '', without a column group"),
        ("name,value\na,1\n", "'name,value', without a column group"),
        ("group,value,value\na,1,2\n", "with two columns value"),
        ("group,value\n", "no measurement"),
        ("group,value\na,1\nb,2\n", "each of 2 groups has one value"),
        ("group,value\na,1\na,1\nb,2\nb,2\n", "no noise"),
        ("group,value\na,1\na,nan\n", "line 3: the value 'nan' is not a finite number"),
        ("group,value\na,-inf\n", "line 2: the value '-inf' is not a finite number"),
        ("group,value\na,1e999\n", "is not a finite number"),
        ("group,value\na,one\n", "line 2: the value 'one' is not a finite number"),
        ("group,value\na,\n", "line 2: the value '' is not a finite number"),
        ("group,value\na,1_0\n", "line 2: the value '1_0' is not a finite number"),
        ("group;value\na;1,5\n", "line 2: the value '1,5' is not a finite number"),
        ("group,value\na,1,005\n", "line 2 has 3 cells, the first line 2"),
        ("group,value\na\n", "line 2 has 1 cells, the first line 2"),
        ("group,value\n,1\n", "line 2 names no group"),
        ("group,value\na,-1\na,1\n", "mean 0.0"),
        ("group,value\na,1e-320\na,2e-320\n", "noise relative to it is not defined"),
        ("group,value\na,1e308\na,1e308\n", "no noise"),
        ("group,value\n" + "a" * 200_000 + ",1\n", "not CSV"),
    ],
)
def test_what_cannot_be_read_is_named(text, problem):
    with pytest.raises(CorpusError, match=problem):
        residuals(text)


def test_too_many_rows_are_refused(monkeypatch):
    monkeypatch.setattr("autoresearch.verdicts.repeats.MAX_ROWS", 2)
    with pytest.raises(CorpusError, match="more than 2 rows"):
        residuals("group,value\na,1\na,2\na,3\n")
