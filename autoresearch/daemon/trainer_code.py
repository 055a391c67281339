"""The code that trials run, as an input of the run: the packages of the trainer, and the training code of autoresearch.

A trial server that starts again in the middle of a night imports what is installed then. An upgrade of torch, or an
edited file, would be measured against a baseline of other code.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from autoresearch.daemon.inputs import Inputs
from autoresearch.trials.trainers import TRAINERS

PACKAGE = Path(__file__).parents[1]
OWN_CODE = ("training", "trials", "data")  # the parts of autoresearch that a trial's process runs


def watch_trainer_code(inputs: Inputs, trainer: str, package: Path = PACKAGE) -> None:
    """Watch what a trial with ``trainer`` imports; call it before the trial server starts. Raises ``OSError``.

    Of a package that is RECORD, which has the hash of every file as pip installed it, and the module's first file. An
    edit of another file in place is not seen.
    """
    for path in own_code(package):
        inputs.watch(path)
    for name, module in TRAINERS[trainer].distributions:
        origin = _origin(module)
        if origin is None:
            continue  # an optional package that is not installed
        record = _record(name)
        for path in filter(None, (record, origin)):
            inputs.watch(path, package=name, version=installed_version)


def own_code(package: Path = PACKAGE) -> list[Path]:
    """The files of autoresearch that a trial's process runs."""
    return [path for folder in OWN_CODE for path in sorted((package / folder).rglob("*.py"))]


def installed_version(name: str) -> str:
    """The version of a distribution that is installed now, for an error."""
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return "not installed"


def _origin(module: str) -> Path | None:
    """The first file of a package, without importing it (only the parent of a dotted name is imported)."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin else None


def _record(name: str) -> Path | None:
    """The list of a distribution's files with their hashes; ``None`` where pip did not install it."""
    try:
        found: Distribution = distribution(name)
    except PackageNotFoundError:
        return None
    folder = f"{re.sub(r'[-_.]+', '_', name)}-{found.version}.dist-info"
    record = Path(str(found.locate_file(f"{folder}/RECORD")))
    return record if record.is_file() else None
