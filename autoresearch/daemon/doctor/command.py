"""Checks of trainer ``command``: program, script, hand-over, watched files, metric, seed, memory, yardstick.

No trial is run; of the user's commands only ``command.versions`` is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from autoresearch.config.command import CommandSettings
from autoresearch.config.settings import Settings
from autoresearch.core.ports import Observer
from autoresearch.core.records import Yardstick
from autoresearch.core.trajectory import Trajectory
from autoresearch.daemon.command_backend import build_trial, build_yardstick, refuse_bad_handover, require_argv
from autoresearch.daemon.command_files import CommandFiles, find_program, watch_command_files
from autoresearch.daemon.command_listing import check_listing
from autoresearch.daemon.doctor.check import Check, fail, ok, warn
from autoresearch.daemon.inputs import Inputs
from autoresearch.daemon.policy import Policy, check_yardstick
from autoresearch.errors import AutoresearchError, ConfigError
from autoresearch.trials.command.handover import is_script, passed_environment
from autoresearch.trials.command.returned import metric_line
from autoresearch.trials.command.trial import CommandTrial

GIB = 2**30
SEE = "see docs/any-trainer.md"


class CommandExamination:
    """The checks of one command. ``yardstick`` is what a run would have, once they are done and none has failed."""

    def __init__(self, settings: Settings, policy: Policy, trajectory: Trajectory) -> None:
        self.settings, self.policy, self.trajectory = settings, policy, trajectory
        self.yardstick: Yardstick | None = None

    def checks(self) -> Iterator[Check]:
        """Each check as soon as it is done. The first that fails is the last: the others build on it."""
        command, name = self.settings.command, "command"
        try:
            with tempfile.TemporaryDirectory() as folder:
                trial = build_trial(self.settings, Path(folder), lambda: False, Observer())
                require_argv(command)
                path = passed_environment(command.env, trial.environ).get("PATH")
                program = find_program(command, path)
                yield _program(command, program)
                if command.checks:
                    yield _checks(command, path)
                name = "hand-over"
                refuse_bad_handover(trial, self.policy)
                yield ok(name, f"{command.config}, {len(self.policy.baseline)} knobs", config=command.config)
                name = "files"
                files = watch_command_files(command, program, self.settings.run_dir, Inputs())
                yield _files(command, files)
                yield from (_metric(command), _seed(self.settings), _memory(self.settings, trial))
                name = "yardstick"
                yield self._yardstick(files, trial)
        except AutoresearchError as e:
            yield fail(name, e, SEE)

    def _yardstick(self, files: CommandFiles, trial: CommandTrial) -> Check:
        meta = self.trajectory.meta
        check_listing(self.settings.run_dir, files, meta.yardstick.command if meta else None, write=False)
        found = build_yardstick(self.settings, self.policy, files, trial)
        check_yardstick(self.trajectory, found)
        self.yardstick = found
        versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
        text = "the run's own" if self.trajectory.meta else "fixed when the run begins"
        return ok("yardstick", f"{text}; {versions or 'no versions of packages: command.versions prints them'}")


def _program(command: CommandSettings, program: Path) -> Check:
    """The program is there; so are the scripts that argv names."""
    cwd = Path(os.path.abspath(command.cwd))
    scripts = [word for word in (command.argv or ())[1:] if is_script(word) and "{" not in word]
    missing = [word for word in scripts if not os.access(cwd / word, os.R_OK)]
    found = f"{program} in {cwd}"
    if missing:
        return warn("command", f"{found}; {missing[0]} cannot be read there", "change command.argv or command.cwd")
    return ok("command", ", ".join([found, *scripts]), program=str(program), scripts=scripts)


def _checks(command: CommandSettings, path: str | None) -> Check:
    """The program of ``command.checks``; it may be one that the training command builds."""
    try:
        return ok("checks", f"{find_program(command, path, 'checks')} runs after each trial")
    except ConfigError as e:
        return warn("checks", f"{e.what}: each trial would be check_failed unless it makes it", e.hint)


def _files(command: CommandSettings, files: CommandFiles) -> Check:
    """Which files are watched, and by what they were found."""
    count = len(files.hashes)
    facts = {"files": count, "commit": files.commit, "sha256": files.sha256}
    if command.files is not None:
        return ok("files", f"{count} files of command.files are watched", **facts)
    if files.commit:
        return ok("files", f"{count} files are watched, commit {files.commit[:12]} and its changes", **facts)
    cwd = Path(os.path.abspath(command.cwd))
    if checkout := next((folder for folder in (cwd, *cwd.parents) if (folder / ".git").exists()), None):
        found = f"git reads no commit of {checkout}: only the {count} files found without one are watched"
        return warn("files", found, f"git -C {checkout} status: git must be installed and trust the owner", **facts)
    found = f"no git commit: only the {count} files that argv names, and what their scripts import, are watched"
    return warn("files", found, "name what it reads with command.files, or keep the scripts in git", **facts)


def _metric(command: CommandSettings) -> Check:
    """Where the metric is expected; whether it comes is known after the first trial."""
    pattern = command.metric_pattern or metric_line(command.metric)
    place = f"the file {command.metric_file}" if command.metric_file else f"lines of stdout that match {pattern!r}"
    return ok("metric", f"{command.metric}, {command.direction} is better, from {place}", metric=command.metric)


def _seed(settings: Settings) -> Check:
    if settings.command.is_seeded:
        return ok("seed", "each trial gets one")
    found = "the command gets no seed: verdicts assume that trials do not correlate"
    hint = "command.seed_flag, seed_env or seed_constant; a script that always computes the same shows no noise"
    return warn("seed", found, hint)


def _memory(settings: Settings, trial: CommandTrial) -> Check:
    """What a trial may take; what it needs is known once the baseline is measured."""
    limit = trial.memory_limit()
    found = f"{limit / GIB:.2f} GiB are free for a trial, which is killed beyond it"
    if limit < GIB and settings.limits.memory_gib is None:
        return warn("memory", found, "stop other programs that use the memory", free_bytes=limit)
    return ok("memory", found, free_bytes=limit)
