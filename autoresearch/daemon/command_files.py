"""The files that a command can read: their hash is part of the yardstick, and a change of one ends the run."""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from autoresearch.config.command import CommandSettings
from autoresearch.daemon.inputs import Inputs
from autoresearch.daemon.local_imports import local_modules, module_files
from autoresearch.errors import ConfigError
from autoresearch.trials.command.handover import passed_environment

MAX_FILES = 20_000
MAX_BYTES = 4 << 30
GIT_DEADLINE_S = 60.0
# Variables of git's own hooks: they name another repository than that of ``cwd``.
ELSEWHERE = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX"})
CODE = "*.py"  # untracked files that a script may import; other untracked files may be its output


@dataclass(frozen=True, slots=True)
class CommandFiles:
    """The watched files, and the hash of their names and contents. ``commit`` is null outside of git."""

    hashes: Mapping[str, str]  # SHA-256 of each, by its name relative to cwd
    sha256: str
    commit: str | None


def watch_command_files(settings: CommandSettings, program: Path, run_dir: Path, inputs: Inputs) -> CommandFiles:
    """Find and watch what the command can read, and the program itself. Raises ``ConfigError``."""
    cwd = Path(os.path.abspath(settings.cwd))
    found, commit = _find(settings, cwd)
    own = os.path.abspath(run_dir)
    paths = sorted({path for path in found if not _is_ignored(path, cwd, settings.ignore) and not _is_in(path, own)})
    if len(paths) > MAX_FILES:
        hint = "name those that matter with command.files"
        raise ConfigError(f"{cwd} has {len(paths):,} files, {MAX_FILES:,} can be watched", hint=hint)
    if (size := sum(path.stat().st_size for path in paths)) > MAX_BYTES:
        hint = "name those that matter with command.files, or leave some out with command.ignore"
        raise ConfigError(f"the files of {cwd} have {size >> 30} GiB, {MAX_BYTES >> 30} can be watched", hint=hint)
    hashes: dict[str, str] = {}
    digest = hashlib.sha256()
    for path in paths:
        try:
            inputs.watch(path)
        except OSError as e:
            raise ConfigError(f"cannot read {path}: {e.strerror}", hint="see command.files and command.ignore") from e
        name = os.path.relpath(path, cwd)
        hashes[name] = inputs.sha256(path)
        digest.update(f"{name}\0{hashes[name]}\n".encode("utf-8", "surrogateescape"))
    inputs.watch(program)
    return CommandFiles(hashes, digest.hexdigest(), commit)


def find_program(settings: CommandSettings, path: str | None, setting: Literal["argv", "checks"] = "argv") -> Path:
    """The file that argv starts, or checks. Raises ``ConfigError`` where it does not exist or is not executable."""
    name = (getattr(settings, setting) or ("",))[0]
    cwd = Path(os.path.abspath(settings.cwd))
    if not cwd.is_dir():
        raise ConfigError(f"command.cwd = {settings.cwd} is not a directory", hint="change command.cwd")
    found = shutil.which(cwd / name if os.sep in name else name, path=path)
    if found is None:
        place = cwd / name if os.sep in name else None
        why = "is not executable by this user" if place and place.exists() else "is not found"
        hint = (
            f"chmod +x {place}, or name its interpreter first"
            if place and place.exists()
            else f"change command.{setting}"
        )
        raise ConfigError(f"command.{setting}: {name} {why}", hint=hint)
    return Path(found)


def _find(settings: CommandSettings, cwd: Path) -> tuple[Iterable[Path], str | None]:
    """The files by the user's globs, or by git and the words of argv; and the commit."""
    commit = _git(cwd, "rev-parse", "--verify", "HEAD")
    head = commit.decode().strip() if commit else None
    if settings.files is not None:
        return _matching(settings.files, cwd), head
    named = [path for words in (settings.argv, settings.checks) for path in _named(words or (), cwd)]
    return [*_above(cwd), *_of_git(cwd), *named, *_imported(named, settings, cwd)], head


def _named(words: Sequence[str], cwd: Path) -> list[Path]:
    """The files that a command names, in git or not, and those of a module that it names with ``-m``."""
    found = [cwd / word for word in words if not word.startswith("-")]
    for module in (words[n + 1] for n, word in enumerate(words[:-1]) if word == "-m"):
        found += [*module_files(module, cwd), *module_files(f"{module}.__main__", cwd)]
    return [path for path in found if path.is_file()]


def _imported(named: Sequence[Path], settings: CommandSettings, cwd: Path) -> set[Path]:
    """What these scripts import from their own folders, from ``cwd`` and from PYTHONPATH."""
    paths = passed_environment(settings.env, os.environ).get("PYTHONPATH", "").split(os.pathsep)
    scripts = [path for path in named if fnmatch.fnmatch(path.name, CODE)]
    roots = [*(path.parent for path in scripts), cwd, *(cwd / path for path in paths if path)]
    return local_modules(scripts, list(dict.fromkeys(roots)))


def _above(cwd: Path) -> list[Path]:
    """What git tracks in the checkout beside ``cwd``, where that is a folder of it: a script may import from there."""
    top, here = _git(cwd, "rev-parse", "--show-toplevel"), os.path.realpath(cwd)
    if not top or os.fsdecode(top).rstrip("\n") == here:
        return []
    checkout = _of_git(Path(os.fsdecode(top).rstrip("\n")), others=False)
    return [path for path in checkout if not _is_in(path, here)]


def _of_git(folder: Path, others: bool = True) -> list[Path]:
    """What git tracks below a folder, submodules included; with ``others``, untracked code that it does not ignore.

    Nothing where git reads no repository there.
    """
    names = _names(_git(folder, "ls-files", "-z"))
    if others:
        untracked = _names(_git(folder, "ls-files", "-z", "--others", "--exclude-standard"))
        names += [name for name in untracked if fnmatch.fnmatch(name, CODE) or name.endswith("/")]
    found = []
    for path in (folder / name for name in dict.fromkeys(names)):
        if path.is_file():  # one that git tracks may be deleted
            found.append(path)
        elif not path.is_symlink() and (path / ".git").exists():  # a submodule, or a repository in the repository
            found += _of_git(path, others)
    return found


def _matching(globs: Sequence[str], cwd: Path) -> list[Path]:
    found: list[Path] = []
    for pattern in globs:
        try:
            matches = [p for p in cwd.glob(pattern) if p.is_file()] if not os.path.isabs(pattern) else [Path(pattern)]
        except (ValueError, NotImplementedError) as e:
            raise ConfigError(f"command.files: {pattern!r} is not a glob: {e}", hint="for example src/**/*.py") from e
        if not matches or not all(p.is_file() for p in matches):
            raise ConfigError(f"command.files: {pattern} matches no file in {cwd}", hint="change command.files")
        found += matches
    return found


def _names(listing: bytes | None) -> list[str]:
    return [os.fsdecode(name) for name in (listing or b"").split(b"\0") if name]


def _is_ignored(path: Path, cwd: Path, globs: Sequence[str]) -> bool:
    name = os.path.relpath(path, cwd)
    return any(fnmatch.fnmatch(name, pattern) for pattern in globs)


def _is_in(path: Path, folder: str) -> bool:
    return os.path.abspath(path).startswith(folder + os.sep)


def _git(cwd: Path, *words: str) -> bytes | None:
    """What git prints, without the user's hooks and prompts; ``None`` where it fails or is not installed."""
    env = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    env |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(cwd), *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_DEADLINE_S,
            env=env,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
