"""The systemd unit that this process belongs to, and what its user may have forgotten to set up."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from autoresearch.core.text import describe_error
from autoresearch.errors import AutoresearchError
from autoresearch.machine import own_cgroup_path

SYSTEM = (Path("/etc/systemd/system"), Path("/run/systemd/system"))
LINGER = Path("/var/lib/systemd/linger")
NOT_RESTARTED = frozenset({2, 65, 66, 69, 70, 75, 76, 78})  # RestartPreventExitStatus= of the units
MAX_CAUSE_CHARS = 250  # so that what to type fits into a status line too


def startup_warnings() -> list[str]:
    """Warnings about what will end the run early: a unit that is not enabled, a user who does not linger."""
    name, is_user = own_unit(own_cgroup_path())
    if not name:
        return []
    if not is_user:
        return not_enabled(name, SYSTEM, "systemctl")
    own = (user_units(os.environ), Path("/etc/systemd/user"))
    return not_enabled(name, own, "systemctl --user") + no_lingering(os.environ, LINGER)


def start_command(cgroup: str | None) -> str:
    """The command that starts this unit again; empty outside of a unit."""
    name, is_user = own_unit(cgroup)
    return f"systemctl {'--user ' if is_user else ''}start {name.removesuffix('.service')}" if name else ""


def retry_command(cgroup: str | None) -> str:
    """The commands that start this unit after a failure; empty outside of a unit.

    systemd counts every start, manual ones too, and refuses the eleventh within an hour; ``reset-failed`` clears that.
    """
    start = start_command(cgroup)
    return f"{start.replace(' start ', ' reset-failed ')} && {start}" if start else ""


def add_retry(error: AutoresearchError, cgroup: str | None) -> None:
    """Name in the hint what starts the unit again, where systemd will not do it."""
    if error.exit_code in NOT_RESTARTED and (retry := retry_command(cgroup)):
        error.hint = f"{error.hint}; then {retry}" if error.hint else f"correct it, then {retry}"


def failure_status(error: Exception, now: datetime) -> str:
    """The status that is shown from a failure until the next start; its local time tells how old it is."""
    if not isinstance(error, AutoresearchError):
        return f"crashed at {now:%H:%M}: {describe_error(error, MAX_CAUSE_CHARS)}; systemd starts it again"
    rest = f"; try: {error.hint}" if error.hint else ""
    if error.exit_code not in NOT_RESTARTED:
        rest += "; systemd starts it again"
    return f"failed at {now:%H:%M}: {error.what[:MAX_CAUSE_CHARS]}{rest}"


def own_unit(cgroup: str | None) -> tuple[str, bool]:
    """The service at the end of a cgroup's path, or "", and whether it belongs to a user's manager."""
    name = (cgroup or "").rpartition("/")[2]
    return (name, "/user@" in (cgroup or "")) if name.endswith(".service") else ("", False)


def not_enabled(name: str, roots: Iterable[Path], systemctl: str) -> list[str]:
    """A warning where the unit is not enabled; none where no unit directory is visible, for example in a container."""
    seen = [root for root in roots if root.is_dir()]
    targets = [target for root in seen for kind in ("wants", "requires") for target in root.glob(f"*.{kind}")]
    if not seen or any(os.path.lexists(target / name) for target in targets):
        return []
    return [f"{name} is started but not enabled: a reboot ends it; `{systemctl} enable {name}` restarts it then"]


def no_lingering(environ: Mapping[str, str], lingering: Path) -> list[str]:
    """A warning where the user does not linger: the services of a user end with the last session."""
    user = environ.get("USER", "")
    if not user or (lingering / user).exists():
        return []
    return [f"lingering is off: the run ends when {user} logs out; `loginctl enable-linger {user}` keeps it running"]


def user_units(environ: Mapping[str, str]) -> Path:
    """The directory of a user's own units."""
    return config_home(environ) / "systemd" / "user"


def config_home(environ: Mapping[str, str]) -> Path:
    """The directory of the user's configuration (XDG)."""
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
