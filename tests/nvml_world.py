"""The real pynvml over a fake libnvidia-ml.so.1, in a process of its own: the library is found by LD_LIBRARY_PATH.

As a program it reads a list of steps from stdin, sets the fake to each step's state, reads the sensor, and prints:

    {"method": ..., "scope": ..., "about": ..., "energy_j": ..., "coverage": ..., "peak_w": ...,
     "samples": [...], "compute_pids": [...]}

or ``{"refused": reason}`` where the sensor cannot be opened.
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
    """The reason why the fake library cannot be built here; empty where it can."""
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
    """The directory of the library, built once per test process."""
    folder = Path(tempfile.mkdtemp(prefix="fake-nvml-"))
    command = [str(compiler()), "-shared", "-fPIC", "-O1", "-Wall", "-Werror", str(SOURCE)]
    subprocess.run([*command, "-o", str(folder / "libnvidia-ml.so.1")], check=True)
    return folder


def environment(state: Path) -> dict[str, str]:
    """The environment in which a Python process loads the fake, which reads its state from the file ``state``."""
    return {
        **os.environ,
        "LD_LIBRARY_PATH": str(library()),
        "FAKE_NVML": str(state),
        "PYTHONPATH": str(ROOT),
    }


def write_state(path: Path, state: Mapping[str, float]) -> None:
    """Set what NVML returns from now on."""
    path.write_text("".join(f"{name} {int(value)}\n" for name, value in state.items()))


def gpu(n: int = 0, *, watts: float = 100.0, joules: float | None = 0.0, **more: float) -> dict[str, float]:
    """The state of one healthy GPU; its counter is missing where ``joules`` is ``None``."""
    state = {f"power_mw{n}": 1000 * watts, f"util{n}": 97, f"temp{n}": 61, f"clock{n}": 1980, f"reasons{n}": 0}
    if joules is not None:
        state[f"energy_mj{n}"] = 1000 * joules
    return {"gpus": n + 1, f"mem{n}": 24 << 30, **state, **more}


def look_at(steps: Sequence[Mapping[str, Any]], tmp_path: Path, uuids: Sequence[str] = ()) -> dict[str, Any]:
    """The sensor's output for steps ``{"t": seconds, "state": {...}, "watch": [pid]}``; it is opened at the first."""
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
    output: dict[str, Any] = json.loads(done.stdout)
    return output


def main() -> None:
    from autoresearch.energy.integrate import Integrator, Total
    from autoresearch.energy.sensors.nvml import open_nvml

    state, *uuids = sys.argv[1:]
    steps = json.load(sys.stdin)
    write_state(Path(state), steps[0]["state"])
    sensor = open_nvml(uuids)
    if isinstance(sensor, str):
        print(json.dumps({"refused": sensor}))
        return
    integrator, total, samples, compute_pids = Integrator(), Total(), [], []
    total.span_s = steps[-1]["t"] - steps[0]["t"]
    for step in steps:
        write_state(Path(state), step["state"])
        sensor.watch(frozenset(step.get("watch", ())))
        for sample in sensor.read(step["t"]):
            samples.append(asdict(sample))
            if interval := integrator.add(sample):
                total.add(interval)
        pids = sensor.compute_pids()
        compute_pids.append(None if pids is None else sorted(pids))
    sensor.close()
    figures = {"energy_j": total.energy_j, "coverage": total.coverage, "peak_w": total.peak_w}
    facts = {"method": sensor.method, "scope": sensor.scope, "about": sensor.about}
    print(json.dumps({**facts, **figures, "samples": samples, "compute_pids": compute_pids}))


if __name__ == "__main__":
    main()
