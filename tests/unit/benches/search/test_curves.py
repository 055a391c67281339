"""Curves over seeds, and the trials to a level."""

from __future__ import annotations

import pytest

from autoresearch.benches.search.curve_plot import check_plot, write_plot
from autoresearch.benches.search.curves import describe_reached, mean_curves, reached
from autoresearch.benches.search.night import Night
from autoresearch.errors import ConfigError

NIGHTS = [
    Night("tpe", 0, (), "", (1.0, 0.9, 0.8)),
    Night("tpe", 1, (), "", (1.0, 0.9, 0.6)),
    Night("joint", 0, (), "", (1.0, 0.6, 0.4)),
    Night("joint", 1, (), "", (1.0, 0.6, 0.4)),
    Night("gp", 0, (), "package scipy is not installed"),
]


def test_the_mean_and_its_error_by_hand():
    curves = mean_curves(NIGHTS)
    assert list(curves) == ["tpe", "joint"]
    assert curves["tpe"].trials == (0, 5, 10)
    assert curves["tpe"].mean == pytest.approx((1.0, 0.9, 0.7))
    assert curves["tpe"].se == pytest.approx((0.0, 0.0, 0.1))
    assert mean_curves(NIGHTS[:1])["tpe"].se == (None, None, None)


def test_trials_to_a_level_are_interpolated_and_null_where_it_is_never_reached():
    curves = mean_curves(NIGHTS)
    found = reached(curves)["tpe_at_end"]
    assert found["level"] == pytest.approx(0.7)
    assert found["trials"] == pytest.approx({"tpe": 10.0, "joint": 3.75})
    assert curves["tpe"].reaches(0.1) is None
    assert curves["tpe"].reaches(1.0) == 0.0
    (first, second) = describe_reached(reached(curves))
    assert "joint 4, tpe 10" in first
    assert "not reached: tpe" in second


def test_the_plot_is_the_same_file_each_time(tmp_path):
    pytest.importorskip("matplotlib")
    one, two = tmp_path / "a.svg", tmp_path / "b.svg"
    for path in (one, two):
        write_plot(path, mean_curves(NIGHTS), 1.0)
    assert one.read_bytes() == two.read_bytes()
    assert b"<svg" in one.read_bytes()


def test_another_format_is_refused_before_the_nights(tmp_path):
    with pytest.raises(ConfigError, match=r"c\.gif is not a \.png or \.svg"):
        check_plot(tmp_path / "c.gif")
