"""What `autoresearch service install` and `uninstall` do, as a list of steps: made first, then shown or carried out.

The files come from the repository's ``systemd/``, which is part of the package under the same name. A unit template is
placed twice: as ``autoresearch@.service`` for any run, and with the name filled in as ``autoresearch.service``.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from autoresearch.daemon.systemd.unit import config_home, user_units
from autoresearch.errors import AutoresearchError
from autoresearch.storage.files import atomic_write

NAME = "autoresearch"
TEMPLATE = "autoresearch@.service"
PROGRAM = "/usr/bin/autoresearch"  # what the units are written with; a package of a distribution leaves it
SYSTEMD_RUNS = Path("/run/systemd/system")
# Where the unit's own hardening hides a program from it.
HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))
NOT_LOADED = 5  # systemctl: there is no such unit
CALL_DEADLINE_S = 24 * 3600.0  # stopping a service lets its trial finish


@dataclass(frozen=True, slots=True)
class Put:
    """A file as it should be; ``yours`` ones are left alone once they are there."""

    path: Path
    text: str
    yours: bool = False


@dataclass(frozen=True, slots=True)
class Remove:
    """A file that we had put there, and its directory if that is empty then."""

    path: Path


@dataclass(frozen=True, slots=True)
class Call:
    """A program of systemd's; ``fine`` are the exit codes beside 0 that are no failure."""

    argv: tuple[str, ...]
    fine: tuple[int, ...] = ()


Step = Put | Remove | Call


@dataclass(frozen=True, slots=True)
class Place:
    """Where an installation goes. ``prefix`` is put before every path; nothing is called then."""

    units: Path
    config: Path
    user: bool = False
    sysusers: Path | None = None
    tmpfiles: Path | None = None
    prefix: Path | None = None

    def at(self, path: Path) -> Path:
        """``path`` below the prefix."""
        return self.prefix / path.relative_to("/") if self.prefix else path

    @property
    def systemctl(self) -> tuple[str, ...]:
        return ("systemctl", "--user") if self.user else ("systemctl",)


def system_place(prefix: Path | None = None) -> Place:
    """The machine's: by root, for a user of its own."""
    etc = Path("/etc")
    return Place(
        units=etc / "systemd" / "system",
        config=etc / NAME,
        sysusers=etc / "sysusers.d" / f"{NAME}.conf",
        tmpfiles=etc / "tmpfiles.d" / f"{NAME}.conf",
        prefix=prefix,
    )


def user_place(environ: Mapping[str, str], prefix: Path | None = None) -> Place:
    """A person's own, without root."""
    return Place(units=user_units(environ), config=config_home(environ) / NAME, user=True, prefix=prefix)


def install_steps(place: Place, program: Sequence[str], drop_ins: Sequence[str] = ()) -> list[Step]:
    """Files first, then what makes systemd know them. ``program`` replaces ``PROGRAM`` in the units."""
    template = source("user", TEMPLATE) if place.user else source(TEMPLATE)
    words = " ".join(map(unit_word, program))
    steps: list[Step] = [Put(place.at(path), text) for path, text in both(place, template.replace(PROGRAM, words))]
    for name in drop_ins:
        steps += [
            Put(place.at(path.with_name(f"{path.name}.d") / drop_in_file(name)), text)
            for path, text in both(place, source("drop-ins", f"{name}.conf"))
        ]
    steps.append(Put(place.at(place.config / f"{NAME}.toml"), source(f"{NAME}.toml"), yours=True))
    calls: list[Step] = []
    for path, file, program_name in (
        (place.sysusers, "sysusers.conf", ("systemd-sysusers",)),
        (place.tmpfiles, "tmpfiles.conf", ("systemd-tmpfiles", "--create")),
    ):
        if path is not None:
            steps.append(Put(place.at(path), source(file)))
            calls.append(Call((*program_name, str(path))))
    return steps if place.prefix else [*steps, *calls, Call((*place.systemctl, "daemon-reload"))]


def uninstall_steps(place: Place) -> list[Step]:
    """Stop, disable, remove. Settings, runs and the user stay: they are not ours to delete."""
    files = [path for path, _ in both(place, "")]
    drop_ins = [f.with_name(f"{f.name}.d") / drop_in_file(name) for f in files for name in drop_in_names()]
    files += [*drop_ins, *(path for path in (place.sysusers, place.tmpfiles) if path is not None)]
    removals: list[Step] = [Remove(place.at(path)) for path in files]
    if place.prefix:
        return removals
    stop = (*place.systemctl, "stop", f"{NAME}.service", f"{NAME}@*.service")
    steps: list[Step] = [Call(stop, fine=(NOT_LOADED,))]  # the second time there is none left
    if enabled := enabled_names(place.units):
        steps.append(Call((*place.systemctl, "disable", *enabled)))
    return [*steps, *removals, Call((*place.systemctl, "daemon-reload"))]


def both(place: Place, template: str) -> list[tuple[Path, str]]:
    """A template, and the unit that it is under the plain name."""
    return [
        (place.units / TEMPLATE, template),
        (place.units / f"{NAME}.service", template.replace("%i", NAME)),
    ]


def enabled_names(units: Path) -> list[str]:
    """Our units that some target wants."""
    links = [link.name for wants in units.glob("*.wants") for link in wants.iterdir()]
    return sorted({name for name in links if re.fullmatch(rf"{NAME}(@.*)?\.service", name)})


def drop_in_names() -> list[str]:
    """What ``--drop-in`` may name."""
    files = resources.files("autoresearch.daemon.systemd").joinpath("units", "drop-ins").iterdir()
    return sorted(file.name.removesuffix(".conf") for file in files)


def drop_in_file(name: str) -> str:
    """After what the package brings, before what `systemctl edit` writes (override.conf)."""
    return f"50-{name}.conf"


def source(*path: str) -> str:
    """A file of ``systemd/``."""
    return resources.files("autoresearch.daemon.systemd").joinpath("units", *path).read_text("utf-8")


def unit_word(word: str) -> str:
    """One word of a command line, as systemd reads it."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{word}"' if any(c.isspace() or c in "\\\"';" for c in word) else word


def check_visible(paths: Sequence[Path]) -> None:
    """Raise ``AutoresearchError`` where the service's user, or its unit, could not see this program."""
    for path in (part for given in paths for part in (given, given.resolve())):
        closed = [p for p in path.parents if p.is_dir() and not p.stat().st_mode & 0o001]
        if closed or any(path.is_relative_to(hidden) for hidden in HIDDEN):
            hint = "install into /opt/autoresearch, with a Python for everybody (docs/operations.md), or take --user"
            raise AutoresearchError(f"the service's user cannot see {path}", hint=hint)


def carry_out(step: Step, dry_run: bool) -> str:
    """Do one step, or nothing; what was or would be done, in words. Raises ``AutoresearchError``."""
    match step:
        case Put():
            return _put(step, dry_run)
        case Remove(path=path):
            return _remove(path, dry_run)
        case Call():
            return _call(step.argv, step.fine, dry_run)


def _put(step: Put, dry_run: bool) -> str:
    try:
        there = step.path.read_text("utf-8") if step.path.exists() else None
        if there is not None and (step.yours or there == step.text):
            return f"{'left as it is, it is yours' if step.yours else 'unchanged'}: {step.path}"
        how = "write" if there is None else "replace"
        if dry_run:
            return f"would {how} {step.path}"
        step.path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(step.path, step.text.encode())
    except (OSError, UnicodeDecodeError) as e:
        raise AutoresearchError(f"cannot write {step.path}: {e}", hint="run it with sudo, or with --user") from e
    return f"{'wrote' if there is None else 'replaced'} {step.path}"


def _remove(path: Path, dry_run: bool) -> str:
    if not path.exists():
        return f"not there: {path}"
    if dry_run:
        return f"would remove {path}"
    try:
        path.unlink()
        if path.parent.name.endswith(".service.d") and not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as e:
        raise AutoresearchError(f"cannot remove {path}: {e.strerror}", hint="run it with sudo, or with --user") from e
    return f"removed {path}"


def _call(argv: tuple[str, ...], fine: tuple[int, ...], dry_run: bool) -> str:
    words = " ".join(argv)
    if argv[0] == "systemctl" and not SYSTEMD_RUNS.is_dir():
        return f"not called, systemd does not run here: {words}"
    if dry_run:
        return f"would call {words}"
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=CALL_DEADLINE_S)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise AutoresearchError(f"cannot call {words}: {e}", hint="call it by hand, then run this again") from e
    if done.returncode and done.returncode not in fine:
        why = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise AutoresearchError(f"{words}: {why}", hint="run it with sudo, or see `systemctl status`")
    return f"called {words}"
