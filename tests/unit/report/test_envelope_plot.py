"""The plot of a sweep: its file, its contents, and errors that are reported before a sweep starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from autoresearch.core.speeds import Point
from autoresearch.errors import AutoresearchError, ConfigError, MissingPackage
from autoresearch.report.envelope_plot import check_plot, write_plot
from autoresearch.testing.fake_timer import fake_speed


def point(batch_size: int, seq_len: int, precision: str, **changes: Any) -> Point:
    fields = {"ts": "t", "conditions_sha256": "c", "steps": 20, "outcome": fake_speed(batch_size * seq_len), **changes}
    return Point(batch_size=batch_size, seq_len=seq_len, precision=precision, **fields)


GRID = [point(b, s, p, mfu=0.3) for b in (2, 4, 8) for s in (64, 128) for p in ("fp32", "bf16")]


def test_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_plot(tmp_path / "e.png", GRID, "a device")
    assert (tmp_path / "e.png").read_bytes().startswith(b"\x89PNG")


def test_svg_names_every_line_and_both_kinds_of_token(tmp_path: Path) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        write_plot(tmp_path / "e.svg", GRID, "a device")
    text = (tmp_path / "e.svg").read_text()
    lines = [f"{precision}, seq_len {seq_len}" for precision in ("fp32", "bf16") for seq_len in (64, 128)]
    for words in (*lines, "filled: corpus", "hollow: random tokens", "tokens/s", "MFU, %", "a device", "1,024"):
        assert words in text, words


@pytest.mark.parametrize(
    "points",
    [
        [point(8, 128, "fp32")],
        [point(8, 128, "fp8", mfu=1.7), point(16, 128, "fp8", outcome=None, refused="too large")],
        [point(b, s, "bf16", mfu=0.1) for b in range(1, 12) for s in range(100, 1000, 100)],
    ],
    ids=["one without a peak", "one refused", "many"],
)
def test_any_sweep_can_be_drawn(tmp_path: Path, points: list[Point]) -> None:
    pytest.importorskip("matplotlib")
    write_plot(tmp_path / "e.png", points, "")
    assert (tmp_path / "e.png").stat().st_size > 1000


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(AutoresearchError, match="nowhere"):
        write_plot(tmp_path / "nowhere" / "e.png", GRID, "")


@pytest.mark.parametrize("name", ["e.pdf", "e", "e.png.txt"])
def test_another_format_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"is not a \.png or \.svg file") as caught:
        check_plot(Path(name))
    assert ".png or .svg" in caught.value.hint


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # how Python itself marks what must not be imported
    with pytest.raises(MissingPackage) as caught:
        check_plot(Path("e.png"))
    assert "autoresearch[plot]" in caught.value.hint
