"""Build what measures trials of trainer ``command``: the trial, its yardstick, its inputs."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from autoresearch.config.command import CommandSettings
from autoresearch.config.settings import Settings
from autoresearch.core.metric import MetricKind
from autoresearch.core.ports import Interrupted, Observer
from autoresearch.core.records import CommandYardstick, Yardstick
from autoresearch.core.values import sha256_of
from autoresearch.daemon.command_files import CommandFiles, find_program, watch_command_files
from autoresearch.daemon.inputs import Inputs
from autoresearch.daemon.policy import Policy
from autoresearch.energy.sensors.select import select_sensor
from autoresearch.errors import ConfigError
from autoresearch.machine import usable_cpus
from autoresearch.storage.run_dir import LOGS
from autoresearch.trials.command.child import CannotStart, Supervision, run_command
from autoresearch.trials.command.ending import failure_of_end
from autoresearch.trials.command.handover import HandoverError, check_constants, hand_over, passed_environment
from autoresearch.trials.command.trial import CommandTrial

FOLDER = "command"  # in the run directory: the files of the running trial
GPUS = Path("/proc/driver/nvidia/gpus")
VERSION_LINE = re.compile(r"^\s*([\w.+/@-]{1,60}?)\s*(?:==|[:=\s])\s*(\S.{0,80}?)\s*$")
VERSIONS_DEADLINE_S = 120.0
MAX_VERSIONS = 100
# Settings of [command] that do not change what is measured; argv and the metric are in the yardstick by themselves.
NOT_HASHED = {"argv", "files", "ignore", "versions", "metric", "unit", "direction", "cwd"}


def command_backend(
    settings: Settings, policy: Policy, run_dir: Path, aborted: Callable[[], bool], observer: Observer
) -> dict[str, Any]:
    """The fields of a ``TrialBackend``. Raises ``ConfigError`` for what can be seen before the first trial."""
    command = settings.command
    require_argv(command)
    trial = build_trial(settings, run_dir, aborted, observer)
    inputs = Inputs(aborted)
    program = find_program(command, passed_environment(command.env, trial.environ).get("PATH"))
    files = watch_command_files(command, program, run_dir, inputs)
    refuse_bad_handover(trial, policy)
    if killed := trial.kill_leftovers():
        observer.notify(f"{killed} processes of an earlier start of this run were still there, and were killed")
    observer.notify(describe_command(command, files))
    return {
        "trial": trial,
        "yardstick": build_yardstick(settings, policy, files, trial),
        "estimator": None,
        "select_sensor": partial(select_sensor, trial.device, (), settings.energy.sensor),
        "inputs": inputs,
        "command_files": files,
    }


def run_token(run_dir: Path) -> str:
    """What every process of this run directory's trials has in its environment."""
    return hashlib.sha256(os.fsencode(os.path.realpath(run_dir))).hexdigest()[:16] + ":"


def require_argv(command: CommandSettings) -> None:
    """Raise ``ConfigError`` where no command is named."""
    if command.argv is None:
        raise ConfigError("command.argv is not set", hint="for example command.argv = ['python3', 'train.py']")


def build_trial(settings: Settings, run_dir: Path, aborted: Callable[[], bool], observer: Observer) -> CommandTrial:
    """The trial of the settings; nothing is written or started before it measures."""
    return CommandTrial(
        settings=settings.command,
        budget=settings.budget.size,
        folder=run_dir / FOLDER,
        logs=run_dir / LOGS,
        token=run_token(run_dir),
        device=find_device(settings.device),
        deadline_s=settings.limits.deadline_s,
        environ=dict(os.environ),
        aborted=aborted,
        notify=observer.notify,
        memory_cap_bytes=int(settings.limits.memory_gib * 2**30) if settings.limits.memory_gib else None,
    )


def refuse_bad_handover(trial: CommandTrial, policy: Policy) -> None:
    """Hand the baseline over once, so that a mistake is seen before the first trial. Raises ``ConfigError``."""
    if why := check_constants(trial.settings, list(policy.baseline)):
        raise ConfigError(f"config = 'constants': {why}", hint="change the menu, baseline or script to match")
    try:
        with trial.empty_folder() as folder:
            hand_over(trial.settings, policy.baseline, 0, trial.budget, folder, trial.environ)
    except HandoverError as e:
        raise ConfigError(f"the baseline cannot be handed over: {e}", hint="see command.config") from e


def describe_command(command: CommandSettings, files: CommandFiles) -> str:
    """One line at the start: what is watched, and what verdicts rest on without a seed."""
    by_git = files.commit if command.files is None else None
    what = f"commit {by_git[:12]} and its changes" if by_git else "as they are now"
    text = f"each trial runs {shlex.join(command.argv or ())}; {len(files.hashes)} files are watched ({what})"
    return text if command.is_seeded else f"{text}; it takes no seed, so verdicts assume that trials do not correlate"


def build_yardstick(settings: Settings, policy: Policy, files: CommandFiles, trial: CommandTrial) -> Yardstick:
    """The yardstick of every measurement of this run."""
    command = settings.command
    others = {k: v for k, v in command.model_dump(mode="json").items() if k not in NOT_HASHED and v is not None}
    unit = command.unit or ("bits per byte" if command.metric == "val_bpb" else "")
    return Yardstick(
        corpus_sha256=None,
        tokenizer_sha256=None,
        span_start_token=None,
        span_tokens=None,
        span_bytes=None,
        evaluator_version=None,
        trainer="command",
        versions=read_versions(trial),
        threads=settings.threads or usable_cpus(),
        device_kind=describe_device(trial.device),
        budget_kind=policy.budget.kind,
        budget_size=policy.budget.size,
        command=CommandYardstick(
            argv=command.argv or (),
            files_sha256=files.sha256,
            files=len(files.hashes),
            commit=files.commit,
            settings_sha256=sha256_of(others),
            metric=MetricKind(name=command.metric, direction=command.direction, unit=unit),
            seeded=command.is_seeded,
            owns_budget=command.owns_budget,
        ),
    )


def read_versions(trial: CommandTrial) -> dict[str, str]:
    """What ``command.versions`` prints, a name and a version in each line. Raises ``ConfigError``."""
    words = trial.settings.versions
    if not words:
        return {}
    limits = Supervision(min(trial.deadline_s, VERSIONS_DEADLINE_S), trial.memory_limit(), trial.aborted)
    env = passed_environment(trial.settings.env, trial.environ)
    cwd = Path(os.path.abspath(trial.settings.cwd))
    hint = "try the command of command.versions by hand"
    try:
        ended = run_command(words, env, cwd, f"{trial.token}versions", limits)
    except CannotStart as e:
        raise ConfigError(f"command.versions: {e}", hint=hint) from e
    except Interrupted as e:
        raise ConfigError(f"command.versions: {e}", hint="start again") from e
    if failure := failure_of_end(ended):
        raise ConfigError(f"command.versions: {failure.detail}", hint=hint)
    return parse_versions(ended.stdout.kept.decode(errors="replace"))


def parse_versions(text: str) -> dict[str, str]:
    """Lines ``torch 2.9``, ``torch==2.9``, ``torch: 2.9``. Raises ``ConfigError`` for a line of another form."""
    versions: dict[str, str] = {}
    for line in filter(str.strip, text.splitlines()[: MAX_VERSIONS + 1]):
        if (match := VERSION_LINE.match(line)) is None or len(versions) >= MAX_VERSIONS:
            raise ConfigError(f"command.versions printed {line[:80]!a}", hint="print lines of the form: name version")
        versions[match[1]] = match[2]
    return versions


def find_device(wanted: str) -> str:
    """``cuda`` where the machine has an NVIDIA GPU and the settings do not say cpu."""
    if wanted != "auto":
        return wanted
    return "cuda" if gpu_models() else "cpu"


def describe_device(device: str) -> str:
    """The names of the processor and, where they are used, of the GPUs."""
    gpus = gpu_models() if device == "cuda" else []
    return ", ".join([cpu_model(), *gpus])


def gpu_models() -> list[str]:
    """The GPUs by the names that the driver gives them."""
    try:
        files = sorted(GPUS.glob("*/information"))
        lines = [line for file in files for line in file.read_text().splitlines()]
    except OSError:
        return []
    return [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]


def cpu_model() -> str:
    """``cpu x86_64 AMD EPYC``, as trainer torch names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return " ".join(filter(None, ("cpu", platform.machine(), names[0] if names else "")))
