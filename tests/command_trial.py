"""A ``CommandTrial`` for tests, with settings as a user would give them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from autoresearch.config.command import CommandSettings
from autoresearch.trials.command.trial import CommandTrial


def make_command_trial(
    folder: Path,
    *,
    deadline_s: float = 60.0,
    budget: float = 10,
    aborted: Callable[[], bool] = lambda: False,
    notify: Callable[[str], None] = lambda _text: None,
    memory_cap_bytes: int | None = None,
    **settings: Any,
) -> CommandTrial:
    """A trial in ``folder``, with this [command] table."""
    logs = folder / "logs"
    logs.mkdir(exist_ok=True)
    return CommandTrial(
        settings=CommandSettings.model_validate({"cwd": str(folder), **settings}),
        budget=budget,
        folder=folder / "run",
        logs=logs,
        token=f"test{os.getpid()}:",
        device="cpu",
        deadline_s=deadline_s,
        environ=dict(os.environ),
        aborted=aborted,
        notify=notify,
        memory_cap_bytes=memory_cap_bytes,
    )
