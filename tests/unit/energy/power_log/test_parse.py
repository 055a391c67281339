"""Every cell of a CSV of power is read, counted as not read, or the file is refused with the cell."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.energy.power_csv import EnergyFigures, integrate_power_csv
from autoresearch.energy.power_log.parse import parse_power_csv
from autoresearch.errors import AutoresearchError

SECONDS = [f"2026-11-21T22:0{s // 60}:{s % 60:02d}" for s in range(61)]


def figures(text: str) -> EnergyFigures:
    return integrate_power_csv(parse_power_csv(text.splitlines(keepends=True), "f.csv"))


def minute(header: str, row: str, times: Sequence[object] = SECONDS, watts: str = "100") -> str:
    """A row for each time; ``{t}`` and ``{w}`` are the time and the watts."""
    return "\n".join([header, *(row.format(t=t, w=watts) for t in times)]) + "\n"


def joules(text: str) -> float:
    kwh = figures(text).energy_kwh
    assert kwh is not None
    return kwh * 3.6e6


class TestDialects:
    @pytest.mark.parametrize(
        ("header", "row", "watts", "mean_w"),
        [
            ("timestamp;power (W)", "{t};{w}", "100,5", 100.5),
            ("timestamp\tPower [W]", "{t}\t{w}", "100,5", 100.5),
            ("timestamp,Power (W)", '"{t}","{w}"', "100,5 W", 100.5),
            ("timestamp,Power (W)", '{t},"{w}"', "1,234.5", 1234.5),
            ("timestamp;Power (W)", "{t};{w}", "1.234,5", 1234.5),
            ("timestamp;Power (W)", "{t};{w}", "1 234,5", 1234.5),
            ("timestamp;Power (W)", "{t};{w}", "1'234.5", 1234.5),
            ("timestamp,power_w", "{t},{w}", "1.0e+02", 100.0),
            ("timestamp,power_w", "{t},{w}", "+1E2", 100.0),
            ("timestamp,power", "{t},{w}", "100000 mW", 100.0),
            ("timestamp,power_mw", "{t},{w}", "100000", 100.0),
            ("timestamp,Power Draw [mW]", "{t},{w}", "100000", 100.0),
            ("timestamp,power_kw", "{t},{w}", "0.1", 100.0),
            ("Time (UTC),Power W", "{t},{w}", "100", 100.0),
            ("timestamp,power_draw_w", "{t},{w},", "100", 100.0),  # a separator at the end shifts nothing
            ("sep=;\ntimestamp;power_w", "{t};{w}", "100,5", 100.5),
            ("# of host x\ntimestamp,power_w", "{t},{w}", "100", 100.0),
            ("timestamp power_w", "{t} {w}", "100", 100.0),
            ("timestamp,power.limit [W],power.draw [W]", "{t},350.00 W,{w} W", "100.00", 100.0),
            ("timestamp,power.draw [W],power.draw.instant [W]", "{t},[N/A],{w} W", "100.00", 100.0),
            ("timestamp,CPU Package Power [W],fan", "{t},{w},7", "100.00", 100.0),
        ],
    )
    def test_watts(self, header: str, row: str, watts: str, mean_w: float) -> None:
        f = figures(minute(header, row, watts=watts))
        assert (f.mean_w, f.coverage, f.span_s) == (pytest.approx(mean_w), 1.0, 60.0)

    @pytest.mark.parametrize(
        ("header", "times", "time_format"),
        [
            ("timestamp", [1795300000 + s for s in range(61)], "epoch in s"),
            ("timestamp", [(1795300000 + s) * 10**3 for s in range(61)], "epoch in ms"),
            ("timestamp", [(1795300000 + s) * 10**6 for s in range(61)], "epoch in us"),
            ("timestamp", [(1795300000 + s) * 10**9 for s in range(61)], "epoch in ns"),
            ("timestamp", [f"{1795300000 + s}e3" for s in range(61)], "epoch in ms"),
            ("time_ms", [1000 * s for s in range(61)], "time since a start in ms"),
            ("Time [ns]", [10**9 * s for s in range(61)], "time since a start in ns"),
            ("time", range(61), "time since a start in s"),
            ("date,time", [f"2026-11-21,23:59:{s:02d}" for s in range(60)] + ["2026-11-22,00:00:00"], "dates"),
            ("Time,Date", [f"22:00:{s:02d},21.11.2026" for s in range(60)] + ["22:01:00,21.11.2026"], "dates"),
            ("time", [f"23:59:{s:02d}" for s in range(30, 60)] + [f"00:00:{s:02d}" for s in range(31)], "times of day"),
            ("timestamp", SECONDS[::-1], "dates"),  # newest first
        ],
    )
    def test_times(self, header: str, times: Sequence[object], time_format: str) -> None:
        f = figures(minute(f"{header},power_w", "{t},{w}", times))
        assert (f.energy_kwh, f.span_s) == (pytest.approx(6000 / 3.6e6), pytest.approx(60.0))
        assert f.time_format == time_format

    def test_nvidia_smi_dmon(self) -> None:
        head = "#Date       Time        gpu    pwr  gtemp\n#YYYYMMDD   HH:MM:SS    Idx      W      C\n"
        rows = [f" 20261121   22:00:{s:02d}      {g}    100     - \n" for s in range(11) for g in (0, 1)]
        f = figures(head + "".join(rows[:10]) + head + "".join(rows[10:]))
        assert (f.energy_kwh, f.mean_w, f.scope) == (pytest.approx(2000 / 3.6e6), 200.0, "gpu")

    def test_a_column_that_numbers_the_rows_is_not_one_of_devices(self) -> None:
        rows = "".join(f"{n},{t},100\n" for n, t in enumerate(SECONDS))
        assert joules("index,timestamp,power_w\n" + rows) == pytest.approx(6000)

    def test_without_a_header_the_first_power_may_be_unknown(self) -> None:
        cells = ["[N/A]", "100.00 W", "100.00 W"]
        f = figures("".join(f"2026/11/21 22:00:0{s}.123, {cell}\n" for s, cell in enumerate(cells)))
        assert (f.mean_w, f.unknown, f.coverage) == (100.0, 1, 0.5)

    def test_the_watts_that_were_not_used_are_named(self) -> None:
        f = figures(minute("timestamp,gpu_power_w,power_w", "{t},{w},300"))
        assert (f.mean_w, f.power_column, f.other_columns) == (300.0, "power_w", ("gpu_power_w",))
        f = figures(minute("timestamp,cpu_power,gpu_power,ram_power,power_limit,powered", "{t},10,{w},3,400,5"))
        assert (f.mean_w, f.scope, f.other_columns) == (100.0, "gpu", ("cpu_power", "ram_power"))


class TestAPointBeforeThreeDigits:
    """Where columns are separated by ``;`` it may stand between thousands; whatever shows which is heeded."""

    @pytest.mark.parametrize(
        ("header", "row", "watts", "mean_w"),
        [
            ("timestamp;power_w;temp", "{t};{w};65.5", "1.234", 1.234),
            ("timestamp;power_w;temp", "{t};{w};65,5", "1.234", 1234.0),
            ("timestamp;power_w", "{t}.5;{w}", "1.234", 1.234),
            ("timestamp;power_w;driver", "{t}.5;{w};560.35.03", "1.234", 1.234),
            ("timestamp;power_w", "{t};{w}", "85.123", 85.123),  # 85,123 W are not plausible
            ("timestamp;power_w", "{t};{w}", "0.950", 0.95),
            ("timestamp;power_w", "{t};{w}", "1.234,5", 1234.5),
            ("timestamp,power_w", "{t},{w}", "1.234", 1.234),
        ],
    )
    def test_what_it_is(self, header: str, row: str, watts: str, mean_w: float) -> None:
        assert figures(minute(header, row.replace("{w}", watts))).mean_w == pytest.approx(mean_w)


class TestRefused:
    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (minute("timestamp, temp, power.draw [W], util [%]", "{t}, 65,5, {w} W, 90 %"), "line 2: 5 cells.*65, 5"),
            (minute("timestamp,power_w", "{t},100,5"), "line 2: 3 cells, but the header has 2"),
            (minute("timestamp,power_w", "{t},123,100"), "line 2: 3 cells"),  # a comma in the seconds
            (minute("timestamp,temp,power_w", "{t},100"), "line 2: 2 cells, but the header has 3"),
            (minute("timestamp,power_w", "{t};100"), "line 2: 1 cell, "),
            (minute("timestamp,power_w", '{t},"1,234"'), "line 2: '1,234' may be two numbers"),
            (minute("timestamp;power_w", "{t};1.234"), "line 2: '1.234' in column 'power_w' may be two numbers"),
            (minute("timestamp;power [W]", "{t};1.234 W"), "line 2: '1.234 W' .* may be two numbers"),
            (minute("timestamp;power_mw", "{t};85.123"), "line 2: '85.123' .* may be two numbers"),
            (minute("timestamp,power_w", "{t},1.234") + "2026-11-21T22:02:00,980\n", "line 2: '1.234' .* two numbers"),
            (minute("timestamp;power_w", "{t};100,5") + "2026-11-21T22:02:00;100.5\n", "a decimal comma, and line 63"),
            (minute("timestamp,power", "{t},100 MW"), "line 2: the unit of '100 MW'"),
            (minute("timestamp,power [MW]", "{t},100"), "mega or milli"),
            (minute("timestamp,power", "{t},100 J"), "the unit of '100 J'"),
            (minute("timestamp,power [W]", "{t},100 mW"), "the unit of '100 mW'"),
            (minute("timestamp,power", "{t},100000"), "line 2: '100000' in column 'power' is 100000 W"),
            (minute("timestamp,power_w", "{t},-5.0"), "'-5.0'.* is -5 W"),
            (minute("timestamp,power_w", "{t},1e999"), "'1e999'"),
            (minute("timestamp,power_w", "{t},0.00"), "every power .* is zero, from '0.00'"),
            (minute("timestamp,power_w", "{t},abc"), "line 2: 'abc'"),
            (minute("timestamp,power_w", "{t},100", ["1970-01-01T00:00:00", *SECONDS]), "20,77. days .*1970"),
            (minute("timestamp,power_w", "{t},100", [0, *range(1795300000, 1795300009)]), "do not count in one unit"),
            (minute("timestamp,power_w", "{t},100", [1795300000, 1795300001000]), "do not count in one unit"),
            (minute("time,power_w", "{t},100", range(0, 60000, 1000)), "1000 apart"),
            (minute("time,power_w", "{t},100", [46347.9 + s / 86400 for s in range(9)]), "does not look like seconds"),
            (
                minute("time,power_w", "{t},100", [10**13 + s for s in range(9)]),
                "the unit of the time '10000000000000'",
            ),
            (minute("timestamp,power_w", "{t},100", [*SECONDS, "2026-11-21T22:02:00Z"]), "has a zone"),
            (minute("timestamp,power_w", "{t},100", ["11/12/2026 22:00:00"]), "could be exchanged"),
            (minute("timestamp,cpu [W],board [W]", "{t},35,100"), "'cpu \\[W\\]' or 'board \\[W\\]'"),
            (minute("timestamp,power_w,power_w", "{t},35,100"), "'power_w' or 'power_w'"),
            (minute("timestamp,power.limit [W]", "{t},350 W"), "not a power that was drawn"),
            (minute("timestamp,Energy (Wh)", "{t},5"), "energy, not power"),
            (minute("timestamp,power [%]", "{t},50"), "no column of watts"),
            ("".join(f"{t}, 350.00 W, 100.00 W\n" for t in SECONDS), "line 1: .*'350.00 W' or '100.00 W'"),
            (
                "# gpu    pwr  gtemp\n# Idx      W      C\n    0    100     40\n",
                "nvidia-smi dmon has no column of times",
            ),
            ("timestamp,duration,emissions,cpu_power,energy_consumed\n2026-11-21T22:00:00,1,2,3,4\n", "CodeCarbon"),
            ("11-21-2026 22:00:00 RAM 2448/7850MB (lfb 1x4MB) VDD_IN 2000mW/2000mW\n", "tegrastats"),
            ('[{"timestamp": 1}]\n', "JSON"),
            ("| NVIDIA-SMI 560.35    Driver Version: 560.35 |\n", "table of nvidia-smi"),
        ],
    )
    def test_it_shows_the_cell(self, text: str, words: str) -> None:
        with pytest.raises(AutoresearchError, match=words) as refused:
            figures(text)
        assert refused.value.hint


class TestAccount:
    def test_cells_that_are_not_read_are_counted_with_the_time_that_they_leave_uncovered(self) -> None:
        lines = minute("timestamp,power_w", "{t},{w}").splitlines()
        for n in range(21, 41):  # 20 of 60 seconds and the one to the next reading
            lines[n] = lines[n].replace(",100", ",[N/A]" if n % 2 else ",abc")
        f = figures("\n".join(lines))
        assert (f.unknown, f.unreadable, f.first_unreadable) == (10, 10, "line 23: 'abc'")
        assert f.coverage == pytest.approx(39 / 60)
        assert f.uncovered_by_cells == pytest.approx(21 / 60)
        assert f.mean_w == pytest.approx(100.0)

    def test_a_short_row_gives_no_watts(self) -> None:
        f = figures(minute("timestamp,power_w,temp", "{t},{w},40") + "2026-11-21T22:01:01,65\nGPU is lost.\n")
        assert (f.peak_w, f.skipped, f.rows) == (100.0, 2, 63)

    def test_a_quote_that_is_not_closed_hides_no_other_line(self) -> None:
        lines = minute("timestamp,power_w", "{t},{w}").splitlines()
        lines[5] = lines[5].replace(",", ',"')
        assert joules("\n".join(lines)) == pytest.approx(6000)

    def test_lines_that_are_not_later_are_counted(self) -> None:
        f = figures(minute("timestamp,power_w", "{t},{w}", [*SECONDS[:9], *SECONDS[8:]]))
        assert (f.not_later, f.energy_kwh) == (1, pytest.approx(6000 / 3.6e6))


POWERS = st.lists(st.integers(1, 15_000_000).map(lambda mw: mw / 1000), min_size=2, max_size=20)
WRITERS = [
    ("timestamp,power_w", lambda n, w: f"{1795300000 + n},{w:.3f}"),
    ("timestamp;Power (W)", lambda n, w: f"{1795300000 + n};{f'{w:.4f}'.replace('.', ',')}"),
    ("timestamp\tpower_mw", lambda n, w: f"{(1795300000 + n) * 1000}\t{w * 1000:.0f}"),
    ("timestamp,power", lambda n, w: f"{SECONDS[n]},{w:e} W"),
    ("timestamp,power [kW]", lambda n, w: f"{(1795300000 + n) * 10**9},{w / 1000:.6f}"),
    ("time_ms,Power (W)", lambda n, w: f'{n * 1000},"{w:,.4f}"'),
    ("#Date Time gpu pwr", lambda n, w: f"20261121 22:00:{n:02d} 0 {w:.3f}"),
]


@given(POWERS, st.sampled_from(WRITERS))
def test_a_series_reads_back_the_same_in_every_dialect(powers, writer) -> None:  # type: ignore[no-untyped-def]
    header, write = writer
    text = "\n".join([header, *(write(n, w) for n, w in enumerate(powers))])
    truth = sum((a + b) / 2 for a, b in itertools.pairwise(powers))
    assert joules(text) == pytest.approx(truth, rel=1e-5)


@given(POWERS, st.permutations(range(5)))
def test_the_order_of_the_columns_changes_nothing(powers: list[float], order: Sequence[int]) -> None:
    header = ("timestamp", "index", "power.limit [W]", "power.draw [W]", "temperature.gpu")
    rows = [header, *((SECONDS[n], "0", "350 W", f"{w} W", "65") for n, w in enumerate(powers))]
    text = "\n".join(",".join(row[n] for n in order) for row in rows)
    assert joules(text) == pytest.approx(sum((a + b) / 2 for a, b in itertools.pairwise(powers)))


@given(st.integers(0, 2**32), st.integers(0, 20))
def test_deleting_cells_lowers_the_coverage_and_not_the_watts(seed: int, deleted: int) -> None:
    rows = [[t, "100", "40"] for t in SECONDS]
    rng = random.Random(seed)
    for n in rng.sample(range(len(rows)), deleted):
        rows[n][rng.randrange(3)] = ""
    f = figures("timestamp,power_w,temp\n" + "\n".join(map(",".join, rows)))
    assert f.mean_w == pytest.approx(100.0)
    assert f.coverage <= 1.0
    assert f.samples + f.unknown + f.skipped >= 61
