"""envelope.jsonl: its records come back, and what of them R7 is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autoresearch.core.measurement import Cause, Failure
from autoresearch.core.speeds import MatmulPeak, Peak, Point, speed_conditions
from autoresearch.core.values import sha256_of
from autoresearch.errors import JournalDamaged
from autoresearch.storage.journal import Journal
from autoresearch.storage.run_dir import ENVELOPE
from autoresearch.storage.speed_log import decode_speeds, step_seconds
from autoresearch.testing.fake_backend import YARDSTICK
from autoresearch.testing.fake_timer import fake_speed
from rails import default_menu

BASELINE = dict(default_menu().defaults)


SHA = sha256_of(speed_conditions(YARDSTICK, BASELINE))


def point(batch_size: int = 16, seq_len: int = 1024, precision: str = "fp8", **changes: Any) -> Point:
    """A measured point; the baseline's by default."""
    fields = {"ts": "2026-11-21T00:00:00Z", "conditions_sha256": SHA, "steps": 20}
    fields |= {"outcome": fake_speed(batch_size * seq_len), **changes}
    return Point(batch_size=batch_size, seq_len=seq_len, precision=precision, **fields)


def written(tmp_path: Path, *records: Any) -> Path:
    journal = Journal(tmp_path / ENVELOPE)
    for record in records:
        journal.append(record.model_dump_json())
    journal.close()
    return tmp_path


def speeds(run_dir: Path, said: list[str] | None = None) -> dict[Any, float]:
    return dict(step_seconds(run_dir, YARDSTICK, BASELINE, (said if said is not None else []).append))


class TestRecords:
    def test_every_kind_comes_back(self, tmp_path: Path) -> None:
        failed = point(outcome=Failure(cause=Cause.OUT_OF_MEMORY, detail="no room"))
        refused = point(outcome=None, refused="needs about 9 GiB")
        peak = Peak(ts="t", conditions_sha256=SHA, precision="fp8", outcome=MatmulPeak(flops_per_s=1e12))
        journal = Journal(written(tmp_path, point(mfu=0.4), failed, refused, peak) / ENVELOPE)
        assert decode_speeds(journal.path, journal) == [point(mfu=0.4), failed, refused, peak]
        journal.close()
        assert [p.status for p in (point(), failed, refused)] == ["measured", "failed", "refused"]

    def test_a_line_of_something_else_is_named(self, tmp_path: Path) -> None:
        good = point().model_dump_json().encode()
        with pytest.raises(JournalDamaged, match=r"line 2: point\.batch_size.*\n.*--fresh"):
            decode_speeds(tmp_path / ENVELOPE, [good, good.replace(b'"batch_size":16', b'"batch_size":0')])


class TestForR7:
    def test_the_last_measurement_of_each_point_counts_however_many_steps_it_took(self, tmp_path: Path) -> None:
        again = point(outcome=fake_speed(16 * 1024, slower=2.0), steps=40)
        found = speeds(written(tmp_path, point(), point(8), again))
        assert found == {
            (16, 1024, "fp8"): pytest.approx(2 * 16.384e-3 / 0.99),
            (8, 1024, "fp8"): pytest.approx(8.192e-3 / 0.99),
        }

    def test_a_later_failure_takes_no_measurement_away(self, tmp_path: Path) -> None:
        failed = point(outcome=Failure(cause=Cause.TIMEOUT, detail="too slow"))
        assert list(speeds(written(tmp_path, point(), failed))) == [(16, 1024, "fp8")]

    def test_without_the_baselines_own_point_there_is_nothing_to_compare_with(self, tmp_path: Path) -> None:
        assert speeds(written(tmp_path, point(8), point(4))) == {}

    def test_points_of_other_conditions_do_not_count(self, tmp_path: Path) -> None:
        assert speeds(written(tmp_path, point(conditions_sha256="f" * 64))) == {}

    def test_without_a_file_nothing_is_known_and_nothing_said(self, tmp_path: Path) -> None:
        said: list[str] = []
        assert speeds(tmp_path, said) == {}
        assert said == []

    def test_a_damaged_file_is_told_and_costs_no_run(self, tmp_path: Path) -> None:
        file = written(tmp_path, point(), point(8)) / ENVELOPE
        file.write_bytes(file.read_bytes().replace(b"16", b"17", 1))
        said: list[str] = []
        assert speeds(tmp_path, said) == {}
        assert "line 1 is damaged" in said[0]
