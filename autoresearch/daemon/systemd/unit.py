"""The systemd unit that this process belongs to, and what somebody who started it may have forgotten."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from autoresearch.machine import own_cgroup_path

SYSTEM = (Path("/etc/systemd/system"), Path("/run/systemd/system"))
LINGER = Path("/var/lib/systemd/linger")


def startup_warnings() -> list[str]:
    """What will end the run before its time although nothing is wrong with it now, in words."""
    name, is_user = own_unit(own_cgroup_path())
    if not name:
        return []
    if not is_user:
        return not_enabled(name, SYSTEM, "systemctl")
    own = (user_units(os.environ), Path("/etc/systemd/user"))
    return not_enabled(name, own, "systemctl --user") + no_lingering(os.environ, LINGER)


def start_command(cgroup: str | None) -> str:
    """What starts this unit again; empty outside of one."""
    name, is_user = own_unit(cgroup)
    return f"systemctl {'--user ' if is_user else ''}start {name.removesuffix('.service')}" if name else ""


def own_unit(cgroup: str | None) -> tuple[str, bool]:
    """The service that a cgroup's path ends with, or an empty name, and whether a user's manager runs it."""
    name = (cgroup or "").rpartition("/")[2]
    return (name, "/user@" in (cgroup or "")) if name.endswith(".service") else ("", False)


def not_enabled(name: str, roots: Iterable[Path], systemctl: str) -> list[str]:
    """Nothing is said where no directory of units can be seen, as in a container."""
    seen = [root for root in roots if root.is_dir()]
    targets = [target for root in seen for kind in ("wants", "requires") for target in root.glob(f"*.{kind}")]
    if not seen or any(os.path.lexists(target / name) for target in targets):
        return []
    return [f"{name} is started but not enabled: a reboot ends it; `{systemctl} enable {name}` brings it back"]


def no_lingering(environ: Mapping[str, str], lingering: Path) -> list[str]:
    """A user's services end with the user's last session unless they linger."""
    user = environ.get("USER", "")
    if not user or (lingering / user).exists():
        return []
    return [f"lingering is off: the run ends when {user} logs out; `loginctl enable-linger {user}` lets it stay"]


def user_units(environ: Mapping[str, str]) -> Path:
    """Where a user's own units lie."""
    return config_home(environ) / "systemd" / "user"


def config_home(environ: Mapping[str, str]) -> Path:
    """The user's own configuration (XDG)."""
    return Path(environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
