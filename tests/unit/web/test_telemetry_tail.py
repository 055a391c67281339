"""The newest readings, whatever else the file has."""

from __future__ import annotations

import os

from autoresearch.energy.telemetry import HEADER
from autoresearch.storage.run_dir import TELEMETRY
from autoresearch.web.telemetry_tail import MAX_SCOPES, TAIL_BYTES, read_readings

LINE = "2026-11-26T15:46:22.620Z,97,24576,98.723,44,1980,{slow},train,{scope}\n"


def written(tmp_path, text: str | bytes):
    (tmp_path / TELEMETRY).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_readings(tmp_path)


def test_the_newest_line_of_each_scope(tmp_path):
    old = LINE.format(slow="", scope="gpu").replace("98.723", "1")
    gpu, cpu = LINE.format(slow="sw_power hot", scope="gpu"), LINE.format(slow="", scope="cpu")
    found = written(tmp_path, HEADER + old + gpu + cpu)
    assert [r.scope for r in found] == ["cpu", "gpu"]
    assert (found[1].power_w, found[1].temp_c, found[1].slowdowns) == (98.723, 44.0, "sw_power hot")


def test_a_torn_last_line_and_what_is_not_a_line_are_skipped(tmp_path):
    good = LINE.format(slow="", scope="gpu")
    bad = "nonsense\n,,,,\n2026,nan,1,inf,1,1,,train,gpu\n\n"
    found = written(tmp_path, HEADER + good + bad + good[:30])
    assert [r.power_w for r in found] == [98.723]
    assert written(tmp_path, b"\0" * 100_000) == ()
    assert written(tmp_path, b"\xff\xfe,<b>,\n" * 5000) == ()
    assert written(tmp_path, "") == ()


def test_only_the_end_of_a_long_file_is_read_and_few_scopes(tmp_path):
    many = "".join(LINE.format(slow="", scope=f"s{n}") for n in range(1000))
    assert len(many) > TAIL_BYTES
    found = written(tmp_path, many)
    assert 0 < len(found) <= MAX_SCOPES


def test_what_is_missing_is_none_not_zero(tmp_path):
    (reading,) = written(tmp_path, "2026-11-26T15:46:22.620Z,,,,,,,idle,machine\n")
    assert (reading.power_w, reading.temp_c, reading.util_pct) == (None, None, None)


def test_a_link_a_pipe_and_no_file_are_no_readings(tmp_path):
    assert read_readings(tmp_path) == ()
    os.mkfifo(tmp_path / TELEMETRY)
    assert read_readings(tmp_path) == ()
    (tmp_path / TELEMETRY).unlink()
    (tmp_path / "else").write_text(LINE.format(slow="", scope="gpu"))
    (tmp_path / TELEMETRY).symlink_to(tmp_path / "else")
    assert read_readings(tmp_path) == ()
    assert read_readings(tmp_path / "gone") == ()
