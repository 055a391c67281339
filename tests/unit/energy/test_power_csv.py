"""CSV files of power over time: the dialects of several tools, and broken files."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.cli import main
from autoresearch.energy.power_csv import EnergyFigures, integrate_power_csv, read_figures
from autoresearch.energy.power_log.parse import parse_power_csv
from autoresearch.errors import AutoresearchError

OURS = "timestamp,gpu_util_pct,mem_used_mib,power_w,temp_c"


def figures(text: str, gap_s: float | None = None) -> EnergyFigures:
    return integrate_power_csv(parse_power_csv(text.splitlines(keepends=True), "power.csv"), gap_s)


def minute(watts: str = "60", header: str = OURS) -> str:
    """``watts`` at one sample a second, for 60 s."""
    rows = [f"2026-11-21T22:00:{s:02d}Z,50,1000,{watts},40" for s in range(60)] + [
        f"2026-11-21T22:01:00Z,50,1000,{watts},40"
    ]
    return "\n".join([header, *rows])


class TestSeveralDevices:
    """Lines of several devices in one file."""

    @pytest.mark.parametrize("devices", [2, 4, 8])
    @pytest.mark.parametrize("apart_s", [0.0, 0.003])
    def test_without_a_device_column_they_are_refused(self, devices: int, apart_s: float) -> None:
        rows = [f"{s + n * apart_s:.3f}, 60.00 W" for s in range(60) for n in range(devices)]
        with pytest.raises(AutoresearchError, match="no column that identifies the device") as refused:
            figures("\n".join(["timestamp, power.draw [W]", *rows]))
        assert "uuid or index" in str(refused.value.hint)

    def test_a_log_with_many_gaps_is_one_device(self) -> None:
        rows = [f"{600 * gap + s}, 60.00 W" for gap in range(4) for s in range(3)]
        f = figures("\n".join(["timestamp, power.draw [W]", *rows]))
        assert (f.mean_w, f.gaps) == (60.0, 3)

    def test_with_a_device_column_they_are_added(self) -> None:
        rows = [f"{s}, {n}, 60.00 W" for s in range(61) for n in range(2)]
        assert figures("\n".join(["timestamp, index, power.draw [W]", *rows])).energy_kwh == pytest.approx(0.002)

    def test_a_line_that_was_written_twice_is_not_a_second_device(self) -> None:
        lines = minute().splitlines()
        assert figures("\n".join([*lines[:20], *lines[18:]])).energy_kwh == pytest.approx(0.001, rel=0.05)


class TestFigures:
    def test_sixty_watts_for_a_minute_are_one_watt_hour(self) -> None:
        f = figures(minute())
        assert f.energy_kwh == pytest.approx(0.001)
        assert (f.mean_w, f.peak_w, f.span_s, f.coverage) == (60.0, 60.0, 60.0, 1.0)
        assert (f.scope, f.method, f.gaps, f.samples, f.rows, f.skipped) == (None, "trapezoid", 0, 61, 61, 0)

    def test_a_gap_is_not_bridged(self) -> None:
        lines = minute().splitlines()
        f = figures("\n".join(lines[:21] + lines[41:]))
        assert f.span_s == 60.0
        assert f.coverage == pytest.approx(39 / 60)
        assert f.energy_kwh == pytest.approx(0.001 * 39 / 60)
        assert (f.mean_w, f.gaps) == (pytest.approx(60.0), 1)

    def test_the_limit_of_a_gap_can_be_set(self) -> None:
        lines = minute().splitlines()
        assert figures("\n".join(lines[:21] + lines[41:]), gap_s=30.0).coverage == 1.0

    def test_a_slow_log_has_no_gaps(self) -> None:
        """The origin's: a sample every five seconds."""
        rows = [f"{5 * n},,,100," for n in range(13)]
        f = figures("\n".join([OURS, *rows]))
        assert (f.energy_kwh, f.coverage, f.gap_s) == (pytest.approx(6000 / 3.6e6), 1.0, 15.0)

    @given(st.lists(st.floats(0.001, 1000).map(lambda w: round(w, 3)), min_size=2, max_size=30))
    def test_it_is_the_trapezoid(self, watts: list[float]) -> None:
        f = figures("\n".join([OURS, *(f"{n},,,{w:f}," for n, w in enumerate(watts))]))
        truth = sum((a + b) / 2 for a, b in itertools.pairwise(watts))
        assert f.energy_kwh == pytest.approx(truth / 3.6e6)
        assert f.peak_w == pytest.approx(max(watts))


class TestDialects:
    def test_nvidia_smi_s_own(self) -> None:
        f = figures(
            "timestamp, utilization.gpu [%], memory.used [MiB], power.draw [W], temperature.gpu\n"
            "2026/11/21 22:00:00.000, 97 %, 24300 MiB, 60.00 W, 61\n"
            "2026/11/21 22:00:01.000, [N/A], [N/A], [N/A], 61\n"
            "2026/11/21 22:00:02.000, 97 %, [N/A], 120.00 W, 61\n"
        )
        assert (f.energy_kwh, f.peak_w, f.samples, f.rows) == (pytest.approx(180 / 3.6e6), 120.0, 2, 3)
        assert f.scope == "gpu"

    @pytest.mark.parametrize("cell", ["[N/A]", "N/A", "[Not Supported]", "[Unknown Error]", "", "-", "nan"])
    def test_a_cell_without_a_power_is_not_known(self, cell: str) -> None:
        f = figures(f"timestamp, power.draw [W]\n0, {cell}\n1, {cell}\n")
        assert (f.energy_kwh, f.mean_w, f.peak_w, f.coverage, f.span_s) == (None, None, None, 0.0, 1.0)

    def test_without_units_and_without_header(self) -> None:
        assert figures("timestamp, power.draw\n0, 10\n1, 10\n").energy_kwh == pytest.approx(10 / 3.6e6)
        headless = "2026/11/21 22:00:00.000, 97 %, 10.00 W\n2026/11/21 22:00:01.000, 97 %, 10.00 W\n"
        assert figures(headless).energy_kwh == pytest.approx(10 / 3.6e6)

    @pytest.mark.parametrize(
        ("header", "cell", "watts"),
        [
            *(("power_w", "12.5", 12.5), ("power.draw [mW]", "12500", 12.5), ("power", "12500 mW", 12.5)),
            *(("power", "0.5 kW", 500.0), ("Power.Draw [W]", " 12.50 W", 12.5), ("watts", ".5", 0.5)),
        ],
    )
    def test_units(self, header: str, cell: str, watts: float) -> None:
        assert figures(f"timestamp,{header}\n0,{cell}\n1,{cell}\n").mean_w == pytest.approx(watts)

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ("2026-11-21T22:00:00Z", "2026-11-21T22:00:02Z"),
            ("2026-11-21T23:00:00.5+01:00", "2026-11-21T22:00:02.5+00:00"),
            ("2026-11-21 22:00:00", "2026-11-21 22:00:02"),
            ("2026/11/21 22:00:00.250", "2026/11/21 22:00:02.250"),
            ("1795000000", "1795000002"),
            ("1795000000000", "1795000002000"),
            ("0.5", "2.5"),
        ],
    )
    def test_times(self, first: str, second: str) -> None:
        assert figures(f"timestamp,power_w\n{first},10\n{second},10\n").span_s == 2.0

    @pytest.mark.parametrize("device", ["index", "uuid", "pci.bus_id", "gpu"])
    def test_several_gpus_are_added(self, device: str) -> None:
        rows = [f"2026/11/21 22:00:{s:02d}.{g}00, {g}, {100 * (g + 1)} W" for s in range(11) for g in (0, 1)]
        f = figures("\n".join([f"timestamp, {device}, power.draw [W]", *rows]))
        assert f.energy_kwh == pytest.approx(3000 / 3.6e6)
        assert (f.mean_w, f.peak_w, f.span_s, f.coverage) == (300.0, 300.0, 10.0, 1.0)

    def test_the_scope_is_read_from_its_column(self) -> None:
        f = figures("timestamp,power_w,scope\n0,10,system\n1,10,system\n")
        assert f.scope == "system"
        assert figures("timestamp,power_w,scope\n0,10,system\n1,10,gpu\n").scope == "mixed"


class TestBroken:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("", "empty"),
            ("\n\n", "empty"),
            ("a,b,c\n1,2,3\n", "no column of times"),
            ("timestamp,temp_c\n0,40\n", "no column of watts"),
            ("0,40\n1,40\n", "no header"),
            ("timestamp,power_w\n", "no line with a valid time"),
            ("timestamp,power_w\nyesterday,40\n", "no line with a valid time"),
        ],
    )
    def test_a_file_without_power_over_time_is_refused(self, text: str, words: str) -> None:
        with pytest.raises(AutoresearchError, match=words) as refusal:
            figures(text)
        assert refusal.value.hint

    def test_a_last_line_that_is_cut_off_is_skipped(self) -> None:
        f = figures(minute() + "\n2026-11-21T22:0" + "\n\0\0\0\0\0")
        assert (f.energy_kwh, f.skipped) == (pytest.approx(0.001), 1)

    def test_a_header_in_the_middle_is_not_counted_as_a_row(self) -> None:
        f = figures(minute() + "\n" + minute().replace("T22:", "T23:"))
        assert (f.rows, f.skipped, f.gaps) == (122, 0, 1)
        assert f.energy_kwh == pytest.approx(0.002)

    def test_a_clock_that_was_set_back_takes_nothing_away(self) -> None:
        f = figures("timestamp,power_w\n100,10\n101,10\n50,10\n51,10\n")
        assert (f.energy_kwh, f.span_s) == (pytest.approx(20 / 3.6e6), 2.0)

    @pytest.mark.parametrize("time", ["inf", "nan", "-1", "1e999"])
    def test_an_invalid_time_is_skipped(self, time: str) -> None:
        assert figures(f"timestamp,power_w\n0,10\n{time},10\n1,10\n").skipped == 1

    @given(st.text(alphabet="0123456789.,\n\"'[]/-:WN A\0\r\x1b\ud800", max_size=200))
    def test_any_text_is_integrated_or_refused(self, text: str) -> None:
        try:
            f = figures("timestamp,power_w,index\n0,1,0\n" + text)
        except AutoresearchError:
            return
        assert 0 <= f.coverage <= 1
        assert f.energy_kwh is None or (f.energy_kwh >= 0 and math.isfinite(f.energy_kwh))


class TestCommand:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "power.csv"
        path.write_text(minute())
        return path

    def test_json_has_the_five_figures(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["energy", str(file), "--json"]) == 0
        output = json.loads(capsys.readouterr().out)
        assert output["energy_kwh"] == pytest.approx(0.001)
        assert (output["mean_w"], output["peak_w"], output["span_s"], output["coverage"]) == (60.0, 60.0, 60.0, 1.0)
        assert (output["scope"], output["method"]) == (None, "trapezoid")

    def test_text_puts_scope_method_and_coverage_beside_the_figure(
        self, file: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["energy", str(file)]) == 0
        assert capsys.readouterr().out == (
            "0.0010 kWh in 1 min 00 s, mean 60.0 W, peak 60.0 W\nscope unknown, method trapezoid, coverage 100.0%\n"
        )

    def test_gaps_and_skipped_lines_are_printed(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        lines = minute().splitlines()
        file.write_text("\n".join([*lines[:21], *lines[41:], "torn"]))
        assert main(["energy", str(file), "--max-gap", "2.5"]) == 0
        output = capsys.readouterr().out
        assert "1 gap of more than 2.5 s" in output
        assert "1 line of 42 could not be read" in output

    def test_powershell_s_utf_16_and_a_byte_order_mark(self, file: Path) -> None:
        for encoding in ("utf-16", "utf-8-sig"):
            file.write_text(minute(), encoding=encoding)
            assert read_figures(file).energy_kwh == pytest.approx(0.001)

    def test_a_missing_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["energy", str(tmp_path / "none.csv")]) == 1
        assert "cannot read" in capsys.readouterr().err

    @pytest.mark.parametrize("gap", ["0", "-1", "nan", "inf", "soon"])
    def test_an_invalid_limit_of_a_gap_is_a_usage_error(self, file: Path, gap: str) -> None:
        with pytest.raises(SystemExit) as refused:
            main(["energy", str(file), f"--max-gap={gap}"])
        assert refused.value.code == 2
