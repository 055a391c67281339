"""A TZ that names no zone is refused; UTC by default is reported."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autoresearch.config.time_zone import refuse_invalid_zone, zone_warning
from autoresearch.errors import ConfigError

ZONES = Path("/usr/share/zoneinfo")


@pytest.fixture
def use_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Sets the zone of this process and of its C library."""

    def use(text: str) -> dict[str, str]:
        monkeypatch.setenv("TZ", text)
        time.tzset()
        return {"TZ": text}

    yield use
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Nonsense", "TZ=Europe/Berlin"),
        ("Europe/Berln", "TZ=Europe/Berlin"),
        ("europe/berlinn", "TZ="),
        ("CEST", "TZ="),
        ("PST", "TZ="),
        ("../etc/passwd", "TZ="),
        ("/does/not/exist", "TZ="),
        (":Nowhere", "TZ="),
        ("+02:00", "TZ="),
    ],
)
def test_what_is_not_a_zone_is_78(text: str, hint: str, use_zone) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match="is not a time zone") as refused:
        refuse_invalid_zone(use_zone(text))
    assert hint in refused.value.hint
    assert refused.value.exit_code == 78


@pytest.mark.parametrize("text", ["", "UTC", "UTC0", "XYZ-2", "CET-1CEST,M3.5.0,M10.5.0/3", "<+0330>-3:30", "EST5EDT4"])
def test_what_the_c_library_reads_by_itself(text: str, use_zone) -> None:  # type: ignore[no-untyped-def]
    refuse_invalid_zone(use_zone(text))


@pytest.mark.skipif(not (ZONES / "Asia/Tokyo").exists(), reason="the system has no time zones")
@pytest.mark.parametrize("text", ["Asia/Tokyo", ":Asia/Tokyo", str(ZONES / "Asia/Tokyo")])
def test_a_name_or_a_file(text: str, use_zone) -> None:  # type: ignore[no-untyped-def]
    refuse_invalid_zone(use_zone(text))


def test_a_zone_that_the_system_has_no_data_of_is_78(monkeypatch: pytest.MonkeyPatch, use_zone) -> None:  # type: ignore[no-untyped-def]
    use_zone("UTC")  # what local time is where the C library does not find Asia/Tokyo
    with pytest.raises(ConfigError, match="has no effect: local time is UTC") as refused:
        refuse_invalid_zone({"TZ": "Asia/Tokyo"})
    assert "tzdata" in refused.value.hint


def test_utc_by_default_is_reported(tmp_path: Path) -> None:
    assert "is missing" in zone_warning({}, tmp_path / "localtime")
    assert zone_warning({"TZ": "UTC"}, tmp_path / "localtime") == ""
    assert "2 h behind UTC" in zone_warning({"TZ": "UTC+2"})
    if (ZONES / "Asia/Tokyo").exists():
        assert "is UTC" in zone_warning({"TZ": ""}, ZONES / "UTC")
        assert zone_warning({}, ZONES / "Asia/Tokyo") == ""
        assert zone_warning({}, ZONES / "Europe/London") == "", "UTC in winter only"
