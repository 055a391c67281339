"""The machine with a real systemd that a module's tests share (``systemd_sandbox``), and runs in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systemd_sandbox import NoSandboxError, Sandbox


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory, small_corpus: Path) -> Iterator[Sandbox]:
    """An installed machine with two people who may pause, and one who may not."""
    try:
        with Sandbox(tmp_path_factory.mktemp("systemd") / "box", small_corpus) as box:
            box.install()
            for user, groups in (("ann", "autoresearch"), ("bob", "autoresearch"), ("eve", "")):
                box.run("useradd", user, *(["-G", groups] if groups else []))
            yield box
    except NoSandboxError as e:
        pytest.skip(f"no systemd can be booted here: {e}")


@pytest.fixture
def start(box: Sandbox, quick_trials: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[Any]:
    """Starts a run of many quick trials under a name of its own; it is stopped afterwards, whatever happened.

    Its rule is threshold, so that each trial closes an iteration, unless ``decision__rule`` says otherwise.
    """
    names: list[str] = []

    def start(name: str, *how: str, watchdog_s: int | None = None, seconds: float = 1.0, **settings: Any) -> str:
        trials = {k: v for k, v in quick_trials.items() if k != "budget.size"}
        trials |= {"budget.kind": "seconds", "budget.size": seconds, "budget.disturbed_baseline": "repeat"}
        trials |= {"corpus": "/srv/corpus", "proposer": "random", "decision.rule": "threshold"}
        box.configure(name, trials | {"iters": 1000} | {k.replace("__", "."): v for k, v in settings.items()})
        if watchdog_s:
            box.drop_in("watchdog", f"[Service]\nWatchdogSec={watchdog_s}\n", f"autoresearch@{name}.service")
        names.append(name)
        box.systemctl("start", *how, f"autoresearch@{name}")
        return name

    yield start
    for name in names:
        box.systemctl("kill", "--signal=KILL", f"autoresearch@{name}", check=False)
        box.systemctl("stop", f"autoresearch@{name}", check=False)
