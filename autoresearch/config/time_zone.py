"""Whether the zone of local time is one that the user chose: the C library silently takes a wrong ``TZ`` for UTC."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from autoresearch.errors import ConfigError

LOCALTIME = Path("/etc/localtime")
# tzset(3): a name of three letters or more and hours west of Greenwich, then the same of summer time.
_NAME, _OFFSET = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)", r"[+-]?\d{1,2}(?::\d\d){0,2}"
POSIX_ZONE = re.compile(rf"{_NAME}({_OFFSET})(?:{_NAME}(?:{_OFFSET})?(?:,[^,]+,[^,]+)?)?")
REVERSED = re.compile(r"(?:UTC|GMT)([+-])(\d{1,2})", re.IGNORECASE)
SET_ZONE = "set TZ, for example TZ=Europe/Berlin, or `timedatectl set-timezone Europe/Berlin`"


def refuse_invalid_zone(environ: Mapping[str, str]) -> None:
    """Raise ``ConfigError`` where ``TZ`` names no zone, or one that this system has no data of."""
    text = environ.get("TZ", "")
    name = text.removeprefix(":")
    if not name or POSIX_ZONE.fullmatch(text):
        return
    zone = _zone(name)
    if zone is None:
        near = difflib.get_close_matches(name, available_timezones(), 1, cutoff=0.6)
        hint = f"did you mean TZ={near[0]}?" if near else "give a zone such as TZ=Europe/Berlin, or unset TZ"
        raise ConfigError(f"TZ={text!r} is not a time zone; local time would silently be UTC", hint=hint)
    now = datetime.now(UTC)
    if now.astimezone().utcoffset() != now.astimezone(zone).utcoffset():
        hint = "install the system's time zones (package tzdata), or unset TZ"
        raise ConfigError(f"TZ={text!r} has no effect: local time is {now.astimezone():%Z}", hint=hint)


def zone_warning(environ: Mapping[str, str], localtime: Path = LOCALTIME) -> str:
    """Why local time may not be the user's; empty where the zone was chosen."""
    text = environ.get("TZ", "")
    if match := REVERSED.fullmatch(text):
        side = "behind" if match[1] == "+" else "ahead of"
        return f"TZ={text} is {int(match[2])} h {side} UTC, as POSIX counts; {SET_ZONE}"
    if text or not _is_utc(localtime):
        return ""
    why = "is missing" if not localtime.exists() else "is UTC"
    return f"local time is UTC by default: TZ is not set and {localtime} {why}; {SET_ZONE}"


def _zone(name: str) -> ZoneInfo | None:
    try:
        if name.startswith("/"):
            with open(name, "rb") as file:
                return ZoneInfo.from_file(file, name)
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError):  # ZoneInfoNotFoundError is a LookupError
        return None


def _is_utc(localtime: Path) -> bool:
    zone = _zone(str(localtime.absolute()))
    if zone is None:
        return True
    year = [datetime(2026, month, 1, tzinfo=zone) for month in (1, 7)]
    return all(not moment.utcoffset() and moment.tzname() in ("UTC", "UCT", "Universal", "Zulu") for moment in year)
