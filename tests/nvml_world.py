"""The real pynvml over a fake libnvidia-ml.so.1, in a process of its own: the library is found by LD_LIBRARY_PATH.

As a program it reads a list of steps from stdin, makes each step's state true, looks, and prints what was seen:

    {"opened": ..., "samples": [...], "energy_j": ..., "coverage": ...}
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("fake_nvml.c")
ROOT = Path(__file__).parents[1]


def missing() -> str:
    """Why there can be no fake library; empty where there can."""
    if compiler() is None:
        return "no C compiler"
    try:
        import pynvml  # noqa: F401
    except ImportError:
        return "nvidia-ml-py is not installed"
    return ""


def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@cache
def library() -> Path:
    """The directory that holds the library, built once for the whole run of the tests."""
    folder = Path(tempfile.mkdtemp(prefix="fake-nvml-"))
    command = [str(compiler()), "-shared", "-fPIC", "-O1", "-Wall", "-Werror", str(SOURCE)]
    subprocess.run([*command, "-o", str(folder / "libnvidia-ml.so.1")], check=True)
    return folder


def environment(state: Path) -> dict[str, str]:
    """In which a Python process finds the fake, and ``state`` is what the fake says."""
    return {
        **os.environ,
        "LD_LIBRARY_PATH": str(library()),
        "FAKE_NVML": str(state),
        "PYTHONPATH": str(ROOT),
    }


def write_state(path: Path, state: Mapping[str, float]) -> None:
    """What NVML says from now on."""
    path.write_text("".join(f"{name} {int(value)}\n" for name, value in state.items()))


def gpu(n: int = 0, *, watts: float = 100.0, joules: float | None = 0.0, **more: float) -> dict[str, float]:
    """The state of one healthy GPU; its counter is missing where ``joules`` is ``None``."""
    state = {f"power_mw{n}": 1000 * watts, f"util{n}": 97, f"temp{n}": 61, f"clock{n}": 1980, f"reasons{n}": 0}
    if joules is not None:
        state[f"energy_mj{n}"] = 1000 * joules
    return {"gpus": n + 1, f"mem{n}": 24 << 30, **state, **more}


def look_at(steps: Sequence[Mapping[str, Any]], tmp_path: Path, uuids: Sequence[str] = ()) -> dict[str, Any]:
    """What the source makes of the steps ``{"t": seconds, "state": {...}, "watch": [pid]}``; it opens at the first."""
    state = tmp_path / "nvml.state"
    done = subprocess.run(
        [sys.executable, "-W", "error", __file__, str(state), *uuids],
        input=json.dumps(list(steps)),
        env=environment(state),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


def main() -> None:
    from autoresearch.energy.integrate import Integrator, Total
    from autoresearch.energy.sensors.nvml import open_nvml

    state, *uuids = sys.argv[1:]
    steps = json.load(sys.stdin)
    write_state(Path(state), steps[0]["state"])
    source = open_nvml(uuids)
    if isinstance(source, str):
        print(json.dumps({"refused": source}))
        return
    integrator, total, samples, users = Integrator(), Total(), [], []
    total.span_s = steps[-1]["t"] - steps[0]["t"]
    for step in steps:
        write_state(Path(state), step["state"])
        source.watch(frozenset(step.get("watch", ())))
        for sample in source.read(step["t"]):
            samples.append(asdict(sample))
            if interval := integrator.add(sample):
                total.add(interval)
        found = source.users()
        users.append(None if found is None else sorted(found))
    source.close()
    figures = {"energy_j": total.energy_j, "coverage": total.coverage, "peak_w": total.peak_w}
    opened = {"method": source.method, "scope": source.scope, "about": source.about}
    print(json.dumps({**opened, **figures, "samples": samples, "users": users}))


if __name__ == "__main__":
    main()
