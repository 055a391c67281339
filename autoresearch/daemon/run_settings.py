"""settings.json of a run directory: what the run was last started with, for commands that continue or repeat it.

Records hold what measurements depend on; limits, corpus and the like are on the command line alone.
``compose``, ``promote`` and ``recheck`` read them here, below the user's file, environment and flags.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autoresearch.config.settings import Settings
from autoresearch.errors import ConfigError
from autoresearch.storage.files import atomic_write, open_regular
from autoresearch.storage.run_dir import SETTINGS

PATHS = ("corpus", "menu_file")  # stored as absolute, where they exist
NOT_KEPT = {"dir", "replay_from"}
MAX_BYTES = 1 << 22


def write_run_settings(settings: Settings, notify: Callable[[str], None]) -> None:
    """Write them unless they are there already; a failure is reported, and does not end the run."""
    if settings.compose == "only":
        return  # `autoresearch compose` continues a run with a proposer and a number of iterations of its own
    values = _without_empty(settings.model_dump(mode="json", exclude=NOT_KEPT))
    values |= {name: str(Path(v).absolute()) for name in PATHS if (v := values.get(name)) and Path(v).exists()}
    content = json.dumps(values, indent=1).encode() + b"\n"
    path = settings.run_dir / SETTINGS
    try:
        if not path.is_file() or path.read_bytes() != content:
            atomic_write(path, content)
    except OSError as e:
        notify(f"{path} was not written: {e.strerror}; `compose`, `promote` and `recheck` need the run's flags again")


def _without_empty(table: dict[str, Any]) -> dict[str, Any]:
    """Without empty texts, which can only be defaults: a setting that is given must not be empty."""
    return {k: _without_empty(v) if isinstance(v, dict) else v for k, v in table.items() if v != ""}


def read_run_settings(run_dir: Path) -> dict[str, Any]:
    """What the run was last started with; empty for a run that has no such file. Raises ``ConfigError``."""
    path = run_dir / SETTINGS
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            values = json.loads(file.read(MAX_BYTES))
    except FileNotFoundError:
        return {}
    except OSError as e:
        raise ConfigError(f"cannot read {path}: {e.strerror}", hint="remove it, and give the run's flags again") from e
    except (ValueError, RecursionError) as e:
        raise ConfigError(f"{path} is not JSON: {e}", hint="remove it, and give the run's flags again") from e
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: an object is expected", hint="remove it, and give the run's flags again")
    return values
