"""The steps of `autoresearch service install` and `uninstall`: built as a list, then shown or carried out.

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
from typing import assert_never

from autoresearch.daemon.systemd.unit import config_home, user_units
from autoresearch.errors import AutoresearchError
from autoresearch.storage.files import atomic_write

NAME = "autoresearch"
TEMPLATE = "autoresearch@.service"
WEB = "autoresearch-web.service"  # the live page; of the system only
# The program in the unit files; an installation replaces it by its own, a package of a distribution keeps it.
PROGRAM = "/usr/bin/autoresearch"
SYSTEMD_BOOTED = Path("/run/systemd/system")  # sd_booted(3)
# The unit's hardening makes these directories invisible to the service.
HIDDEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))
ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}  # systemd.syntax(7); unescaped, a line break ends the setting
NOT_LOADED = 5  # exit code of systemctl stop for a unit that does not exist
CALL_DEADLINE_S = 24 * 3600.0  # stopping a service waits for its running trial


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Write ``text`` to ``path``; with ``keep_existing`` a file that exists is left as the user has it."""

    path: Path
    text: str
    keep_existing: bool = False


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Remove an installed file, and the directory of a unit's drop-ins once it is empty."""

    path: Path


@dataclass(frozen=True, slots=True)
class CallProgram:
    """Call a program of systemd; ``accepted_codes`` are exit codes besides 0 that are not failures."""

    argv: tuple[str, ...]
    accepted_codes: tuple[int, ...] = ()


Step = WriteFile | RemoveFile | CallProgram


@dataclass(frozen=True, slots=True)
class Place:
    """Directories of an installation. With ``prefix`` every path is below it and no program is called."""

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
    """The system-wide directories; needs root, and the service has its own user."""
    etc = Path("/etc")
    return Place(
        units=etc / "systemd" / "system",
        config=etc / NAME,
        sysusers=etc / "sysusers.d" / f"{NAME}.conf",
        tmpfiles=etc / "tmpfiles.d" / f"{NAME}.conf",
        prefix=prefix,
    )


def user_place(environ: Mapping[str, str], prefix: Path | None = None) -> Place:
    """The directories of one user, without root."""
    return Place(units=user_units(environ), config=config_home(environ) / NAME, user=True, prefix=prefix)


def install_steps(place: Place, program: Sequence[str], drop_ins: Sequence[str] = ()) -> list[Step]:
    """Write the files, then make systemd read them. ``program`` replaces ``PROGRAM`` in the units."""
    template = source("user", TEMPLATE) if place.user else source(TEMPLATE)
    words = " ".join(map(unit_word, program))
    steps: list[Step] = [
        WriteFile(place.at(path), text) for path, text in template_and_instance(place, template.replace(PROGRAM, words))
    ]
    if not place.user:
        steps.append(WriteFile(place.at(place.units / WEB), source(WEB).replace(PROGRAM, words)))
    for name in drop_ins:
        steps += [
            WriteFile(place.at(path.with_name(f"{path.name}.d") / drop_in_file(name)), text)
            for path, text in template_and_instance(place, source("drop-ins", f"{name}.conf"))
        ]
    steps.append(WriteFile(place.at(place.config / f"{NAME}.toml"), source(f"{NAME}.toml"), keep_existing=True))
    calls: list[Step] = []
    for path, file, program_name in (
        (place.sysusers, "sysusers.conf", ("systemd-sysusers",)),
        (place.tmpfiles, "tmpfiles.conf", ("systemd-tmpfiles", "--create")),
    ):
        if path is not None:
            steps.append(WriteFile(place.at(path), source(file)))
            calls.append(CallProgram((*program_name, str(path))))
    return steps if place.prefix else [*steps, *calls, CallProgram((*place.systemctl, "daemon-reload"))]


def uninstall_steps(place: Place) -> list[Step]:
    """Stop, disable and remove the units. Settings, runs and the service's user are kept."""
    files = [path for path, _ in template_and_instance(place, "")]
    web = () if place.user else (WEB,)
    drop_ins = [f.with_name(f"{f.name}.d") / drop_in_file(name) for f in files for name in drop_in_names()]
    files += [
        *(place.units / name for name in web),
        *drop_ins,
        *(path for path in (place.sysusers, place.tmpfiles) if path is not None),
    ]
    removals: list[Step] = [RemoveFile(place.at(path)) for path in files]
    if place.prefix:
        return removals
    stop = (*place.systemctl, "stop", f"{NAME}.service", f"{NAME}@*.service", *web)
    steps: list[Step] = [CallProgram(stop, accepted_codes=(NOT_LOADED,))]  # when uninstalled a second time
    if enabled := enabled_names(place.units):
        steps.append(CallProgram((*place.systemctl, "disable", *enabled)))
    return [*steps, *removals, CallProgram((*place.systemctl, "daemon-reload"))]


def template_and_instance(place: Place, template: str) -> list[tuple[Path, str]]:
    """The unit template, and the plain unit with the name filled in."""
    return [
        (place.units / TEMPLATE, template),
        (place.units / f"{NAME}.service", fill_in_instance(template)),
    ]


def fill_in_instance(template: str) -> str:
    """``template`` with ``NAME`` for ``%i``; an escaped percent sign is skipped, also where an i follows it."""
    return re.sub(r"%%|%i", lambda m: NAME if m[0] == "%i" else m[0], template)


def enabled_names(units: Path) -> list[str]:
    """Our units that are enabled."""
    links = [link.name for wants in units.glob("*.wants") for link in wants.iterdir()]
    return sorted({name for name in links if re.fullmatch(rf"{NAME}(@.*|-web)?\.service", name)})


def drop_in_names() -> list[str]:
    """Names that ``--drop-in`` accepts."""
    files = resources.files("autoresearch.daemon.systemd").joinpath("units", "drop-ins").iterdir()
    return sorted(file.name.removesuffix(".conf") for file in files)


def drop_in_file(name: str) -> str:
    """File name of a drop-in, ordered before the override.conf that `systemctl edit` writes."""
    return f"50-{name}.conf"


def source(*path: str) -> str:
    """Text of a file of ``systemd/``."""
    return resources.files("autoresearch.daemon.systemd").joinpath("units", *path).read_text("utf-8")


def unit_word(word: str) -> str:
    """One word of a command line, quoted for a unit file (systemd.service(5))."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    for control, escape in ESCAPES.items():
        word = word.replace(control, escape)
    return f'"{word}"' if any(c.isspace() or c in "\\\"';" for c in word) else word


def check_visible(paths: Sequence[Path]) -> None:
    """Raise ``AutoresearchError`` where the service's user, or the unit's hardening, cannot reach a path."""
    for path in (part for given in paths for part in (given, given.resolve())):
        closed = [p for p in path.parents if p.is_dir() and not p.stat().st_mode & 0o001]
        if closed or any(path.is_relative_to(hidden) for hidden in HIDDEN):
            hint = "install into /opt/autoresearch, with a Python for every user (docs/operations.md), or use --user"
            raise AutoresearchError(f"the service's user cannot see {path}", hint=hint)


def carry_out(step: Step, dry_run: bool, *, booted: Path = SYSTEMD_BOOTED) -> str:
    """Do one step, or with ``dry_run`` only describe it; returns one line for the user. Raises ``AutoresearchError``.

    Without the directory ``booted`` systemd does not run, and ``systemctl`` is not called.
    """
    match step:
        case WriteFile():
            return _write(step, dry_run)
        case RemoveFile(path=path):
            return _remove(path, dry_run)
        case CallProgram(argv=argv, accepted_codes=accepted_codes):
            if argv[0] == "systemctl" and not booted.is_dir():
                return f"not called, systemd does not run here: {' '.join(argv)}"
            return _call(argv, accepted_codes, dry_run)
        case _:
            assert_never(step)


def _write(step: WriteFile, dry_run: bool) -> str:
    try:
        existing = step.path.read_text("utf-8") if step.path.exists() else None
        if existing is not None and (step.keep_existing or existing == step.text):
            return f"{'kept your version of' if step.keep_existing else 'unchanged:'} {step.path}"
        if dry_run:
            return f"would {'write' if existing is None else 'replace'} {step.path}"
        step.path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(step.path, step.text.encode())
    except (OSError, UnicodeDecodeError) as e:
        raise AutoresearchError(f"cannot write {step.path}: {e}", hint="run it with sudo, or with --user") from e
    return f"{'wrote' if existing is None else 'replaced'} {step.path}"


def _remove(path: Path, dry_run: bool) -> str:
    if not path.exists():
        return f"does not exist: {path}"
    if dry_run:
        return f"would remove {path}"
    try:
        path.unlink()
        if path.parent.name.endswith(".service.d") and not any(path.parent.iterdir()):
            path.parent.rmdir()
    except OSError as e:
        raise AutoresearchError(f"cannot remove {path}: {e.strerror}", hint="run it with sudo, or with --user") from e
    return f"removed {path}"


def _call(argv: tuple[str, ...], accepted_codes: tuple[int, ...], dry_run: bool) -> str:
    words = " ".join(argv)
    if dry_run:
        return f"would call {words}"
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=CALL_DEADLINE_S)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise AutoresearchError(f"cannot call {words}: {e}", hint="call it yourself, then run this again") from e
    if done.returncode and done.returncode not in accepted_codes:
        why = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise AutoresearchError(f"{words}: {why}", hint="run it with sudo, or see `systemctl status`")
    return f"called {words}"
