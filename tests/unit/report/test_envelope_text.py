"""The table of a sweep: 80 cells, every kind of point, and figures that can be read again as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.speeds import Point
from autoresearch.report.envelope_text import envelope_json, format_flops, format_point, render_envelope
from autoresearch.testing.fake_timer import fake_speed

PEAKS = {"fp32": 198e9, "bf16": 812.4e12}


def point(batch_size: int = 8, seq_len: int = 128, precision: str = "fp32", **changes: Any) -> Point:
    fields = {"ts": "t", "conditions_sha256": "c", "steps": 20, "outcome": fake_speed(batch_size * seq_len), **changes}
    return Point(batch_size=batch_size, seq_len=seq_len, precision=precision, **fields)


def on_gpu(**changes: Any) -> Point:
    """The largest figures that a GPU may show."""
    speed = fake_speed(64 * 8192).model_copy(
        update={
            "real_tokens_per_s": 9_876_543.2,
            "random_tokens_per_s": 9_876_999.9,
            "real_step_ms": 123_456.7,
            "data_path_frac": -0.1234,
            "data_path_spread": 0.1234,
            "peak_bytes": 139 << 30,
            "energy_j": 70_000.0,
            "watts": 699.6,
            "tokens_per_joule": 14_117.0,
        }
    )
    return point(**{"batch_size": 64, "seq_len": 8192, "precision": "fp8", "outcome": speed, "mfu": 0.1234, **changes})


FAILED = point(outcome=Failure(cause=Cause.OUT_OF_MEMORY, detail="it held 9 MiB, " * 20))
REFUSED = point(outcome=None, refused="needs about 9.00 GiB of memory, 2.00 GiB are available")


def test_a_point_is_a_line_under_its_heading() -> None:
    heading, row, *_ = render_envelope([point(mfu=0.413)], PEAKS).splitlines()
    assert heading.split() == ["batch", "seq", "prec", "tokens/s", "random", "step", "ms", "data", "path", "MFU", "GiB"]
    assert row.split() == ["8", "128", "fp32", "990,000", "1,000,000", "1.0", "+1.0", "±0.2%", "41.3%", "0.25"]
    assert len(heading) == len(row)


def test_power_has_its_columns_where_it_is_known() -> None:
    heading, row, *_ = render_envelope([on_gpu()], PEAKS).splitlines()
    assert heading.split()[-2:] == ["W", "tok/J"]
    assert row.split()[-2:] == ["700", "14117"]
    mixed = render_envelope([on_gpu(), point()], PEAKS).splitlines()[2]
    assert mixed.split()[-2:] == ["-", "-"]


@pytest.mark.parametrize(
    "points", [[point()], [point(), FAILED, REFUSED], [on_gpu()], [on_gpu(), FAILED, point(mfu=1)]]
)
def test_it_fits_80_cells(points: list[Point]) -> None:
    lines = render_envelope(points, PEAKS).splitlines()
    assert max(map(len, lines)) <= 80


def test_no_two_figures_run_into_each_other() -> None:
    heading, row = render_envelope([on_gpu()], PEAKS).splitlines()[:2]
    assert len(row.split()) == 12, row
    assert len(heading) == len(row) == 80


def test_a_point_without_figures_says_why() -> None:
    assert "out_of_memory: it held 9 MiB" in format_point(FAILED)
    assert format_point(REFUSED).endswith("  R7: needs about 9.00 GiB of memory, 2.00 GiB are available")


def test_what_a_crash_wrote_cannot_act_on_the_terminal() -> None:
    hostile = Failure(cause=Cause.ERROR, detail="\x1b[31mred\x07")
    assert "\x1b" not in format_point(point(outcome=hostile))


def test_color_is_only_where_it_is_wanted() -> None:
    assert "\x1b" not in render_envelope([point(), FAILED], PEAKS)
    assert "\x1b[31m" in render_envelope([point(), FAILED], PEAKS, color=True)


def test_the_notes_say_what_the_host_did_and_what_mfu_is_of() -> None:
    text = " ".join(render_envelope([point()], PEAKS).split())
    assert "The host needed at most 0.967% of a step" in text
    assert "fp32 198 GFLOP/s, bf16 812 TFLOP/s" in text


def test_nothing_measured_is_said() -> None:
    assert render_envelope([], {}) == "No point was measured."
    assert "host" not in render_envelope([REFUSED], {})


@pytest.mark.parametrize(
    ("per_s", "words"),
    [(1.5e15, "1.5 PFLOP/s"), (98e12, "98 TFLOP/s"), (9.85e10, "98.5 GFLOP/s"), (1e3, "0.001 MFLOP/s")],
)
def test_speeds_as_words(per_s: float, words: str) -> None:
    assert format_flops(per_s) == words


def test_json_has_everything() -> None:
    shown = json.loads(envelope_json([point(mfu=0.4), FAILED, REFUSED], PEAKS, {"threads": 2}, "SIGINT"))
    assert [row["status"] for row in shown["points"]] == ["measured", "failed", "refused"]
    assert shown["points"][0]["outcome"]["real_tokens_per_s"] == pytest.approx(990_000)
    assert shown["points"][1]["outcome"]["cause"] == "out_of_memory"
    assert (shown["ended_by"], shown["conditions"]) == ("SIGINT", {"threads": 2})
    assert shown["matmul_peak_flops_per_s"] == PEAKS
    assert json.loads(envelope_json([], {}, {}, ""))["ended_by"] is None
