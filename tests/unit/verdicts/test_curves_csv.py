"""Curves of anyone's, from CSV."""

from __future__ import annotations

import pytest

from autoresearch.errors import CorpusError
from autoresearch.verdicts.curves_csv import kind_of, read_trials

GOOD = """group,run,fraction,value
base,0,0.5,4.0
base,0,1.0,3.0
base,1,0.5,4.2
base,1,1.0,3.2
lr=2,1,1.0,3.1
lr=2,1,0.5,4.1
lr=2,9,0.5,4.0
lr=2,9,1.0,3.0
"""


def test_a_run_is_compared_with_the_same_run_of_the_baseline_or_with_the_mean():
    trials, baseline = read_trials(GOOD, "f.csv")
    assert baseline == "base"
    assert [(t.group, t.run, t.kind) for t in trials] == [("lr=2", "1", "lr"), ("lr=2", "9", "lr")]
    assert trials[0].points == [(0.5, 4.1), (1.0, 3.1)]
    assert trials[0].gain == pytest.approx(0.1 / 3.2)
    assert trials[1].gain == pytest.approx(0.1 / 3.1)


def test_another_group_can_be_the_baseline():
    trials, baseline = read_trials(GOOD, "f.csv", "lr=2")
    assert baseline == "lr=2"
    assert {t.group for t in trials} == {"base"}


def test_order_of_columns_blank_lines_further_columns_and_a_byte_order_mark_do_not_matter():
    text = "\ufeffvalue, Run ,note,FRACTION,group\n4,0,x,0.5,a\n\n3,0,x,1,a\n5,0,,0.5,b\n2,0,,1,b\n"
    trials, _ = read_trials(text, "f.csv")
    assert [(t.group, t.points) for t in trials] == [("b", [(0.5, 5.0), (1.0, 2.0)])]


def test_the_last_fraction_is_the_end():
    text = "group,run,fraction,value\na,0,0.4,4\na,0,0.8,3\nb,0,0.4,5\nb,0,0.8,2\n"
    trials, _ = read_trials(text, "f.csv")
    assert trials[0].points == [(0.5, 5.0), (1.0, 2.0)]


def test_semicolons_and_tabs_separate_too():
    for separator in ";\t":
        assert read_trials(GOOD.replace(",", separator), "f.csv") == read_trials(GOOD, "f.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "without a column group"),
        ("group,run,value\na,0,1\n", "without a column fraction"),
        ("group,run,fraction,value\n", "has no rows"),
        (GOOD + "x,0,0.5\n", "line 10 has 3 cells, the first line 4"),
        (GOOD + "x,0,0.5,3,1\n", "line 10 has 5 cells, the first line 4"),
        (GOOD + "x,0,half,3\n", "line 10: the fraction 'half' is not a finite number"),
        (GOOD + "x,0,0.5,nan\n", "line 10: the value 'nan' is not a finite number"),
        (GOOD + "x,0,220,3\n", "line 10: fraction 220 is not between 0 and 1"),
        (GOOD + "x,0,0.5,-3\n", "line 10: value -3 is not above 0"),
        (GOOD + "x,,0.5,3\n", "line 10 names no run"),
        (GOOD + "lr=2,9,1.0,3.0\n", "line 10 gives run '9' of 'lr=2' at 1 again"),
        (GOOD + "x,0,1,3\n", "run '0' of 'x' has a single point"),
        (GOOD + "x,0,0.2,3\nx,0,0.5,3\n", "run '0' of 'x' ends at 0.5 of the budget, others at 1"),
        ("group,run,fraction,value\na,0,0.5,4\na,0,1,3\n", "has the group 'a' only"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(text, message):
    with pytest.raises(CorpusError, match=r"f\.csv") as e:
        read_trials(text, "f.csv")
    assert message in e.value.what
    assert e.value.hint


def test_a_baseline_that_is_not_there_names_the_groups():
    with pytest.raises(CorpusError, match="no group 'no'") as e:
        read_trials(GOOD, "f.csv", "no")
    assert "base" in e.value.hint


def test_the_kind_is_the_knob_of_a_named_group():
    assert [kind_of(name) for name in ("lr=0.1", "beta1 = 0.9", "run 7")] == ["lr", "beta1", "run 7"]
