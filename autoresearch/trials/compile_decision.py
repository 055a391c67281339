"""The daemon's side of torch.compile: have a child measure the times once per machine and shape, store them, decide."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from autoresearch.core.values import FrozenModel, sha256_of
from autoresearch.errors import ConfigError
from autoresearch.storage.files import atomic_write
from autoresearch.trials.messages import COMPILE_TIMES
from autoresearch.trials.requests import CompileTimesRequest
from autoresearch.trials.runner import RequestRunner
from autoresearch.trials.server import compile_cache
from autoresearch.trials.spec import Device, TrialSpec
from autoresearch.trials.trainers import TRAINERS
from rails.knob_facts import TIMED_KNOBS
from rails.structural import STRUCTURAL_KNOBS

# A larger speed-up than was ever measured (1.3 on a CPU with a vocabulary of 50k) and a shorter compile time (13 s and
# more): where even these do not pay off, no trial compile is needed to decide.
MAX_EXPECTED_SPEEDUP = 1.6
MIN_COMPILE_S = 8.0


class CompileTimes(FrozenModel):
    """Measured seconds of the baseline: one step without and with compiled layers, and compiling them."""

    eager_step_s: float
    compiled_step_s: float | None = None  # null where the trial is too short to try it
    compile_s: float | None = None

    def pays(self, steps: int) -> bool:
        """Whether a trial of that many steps saves more time than compiling takes with an empty cache."""
        if self.compiled_step_s is None or self.compile_s is None:
            return False
        return steps * (self.eager_step_s - self.compiled_step_s) > self.compile_s

    def explain(self, steps: int) -> str:
        """One line for a terminal."""
        eager = f"a step takes {self.eager_step_s:.3g} s"
        if self.compiled_step_s is None or self.compile_s is None:
            return f"not compiled: {eager}, {steps} steps are too few to save the time of compiling"
        times = f"{eager}, compiled {self.compiled_step_s:.3g} s, compiling {self.compile_s:.3g} s"
        return f"{'compiled' if self.pays(steps) else 'not compiled'}: {times}, {steps} steps a trial"


def compiling_could_pay(eager_step_s: float, steps: int) -> bool:
    """Whether compiling could save time, so that it is worth measuring."""
    return steps * eager_step_s * (1 - 1 / MAX_EXPECTED_SPEEDUP) > MIN_COMPILE_S


def steps_of(spec: TrialSpec, eager_step_s: float) -> int:
    """Optimizer steps of a trial; under a budget in seconds, as many as fit without compiling."""
    steps = spec.budget.steps(int(spec.cfg["batch_size"]), int(spec.cfg["seq_len"]))
    return steps if steps is not None else int(spec.budget.size / eager_step_s)


TIMES = "times.json"  # in the compile cache, so that both are lost together


def decide_compiled(
    compile_setting: str,
    spec: TrialSpec,
    vocab: int,
    device: Device,
    runner: RequestRunner,
    deadline_s: float,
    notify: Callable[[str], None],
) -> bool:
    """Whether this run's trials compile their layers. ``spec`` is the baseline's trial. Raises ``ConfigError``.

    ``compile_setting`` is "auto", "on" or "off".
    """
    refuse_compiled(compile_setting, spec.trainer)
    if TRAINERS[spec.trainer].not_compiled_because:
        return False
    if compile_setting != "auto":
        return compile_setting == "on"
    times = load_times(spec, vocab, device)
    if times is None:
        request = CompileTimesRequest(spec=spec)
        output, exit_code, _peak = runner.run(request, lambda *_: None, spec.memory_limit_bytes, deadline_s)
        try:
            times = CompileTimes.model_validate((output.answer or {}).get(COMPILE_TIMES))
        except ValidationError:
            tail = output.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {exit_code}"]
            notify(f"not compiled: torch.compile cannot be tried here ({tail[0]})")
            return False
        store_times(spec, vocab, device, times)
    steps = steps_of(spec, times.eager_step_s)
    notify(times.explain(steps))
    return times.pays(steps)


def refuse_compiled(compile_setting: str, trainer: str) -> None:
    """Raise ``ConfigError`` for a trainer whose layers are not compiled."""
    if compile_setting == "on" and (why := TRAINERS[trainer].not_compiled_because):
        raise ConfigError(f"compile = 'on' with trainer {trainer}", hint=f"leave compile at auto: {why}")


def load_times(spec: TrialSpec, vocab: int, device: Device) -> CompileTimes | None:
    """The times measured before for this shape on this machine, if they suffice for the decision."""
    try:
        times = CompileTimes.model_validate(json.loads(_file().read_text())[_key(spec, vocab, device)])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    untried = times.compiled_step_s is None and compiling_could_pay(
        times.eager_step_s, steps_of(spec, times.eager_step_s)
    )
    return None if untried else times


def store_times(spec: TrialSpec, vocab: int, device: Device, times: CompileTimes) -> None:
    """Store the times for the next run; best effort: on a full disk they are measured again."""
    try:
        stored = dict(json.loads(_file().read_text()))
    except (OSError, ValueError, TypeError):
        stored = {}
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        stored[_key(spec, vocab, device)] = times.model_dump()
        atomic_write(_file(), json.dumps(stored, indent=1).encode())
    except OSError:
        pass


def _file() -> Path:
    return compile_cache() / TIMES


def _key(spec: TrialSpec, vocab: int, device: Device) -> str:
    shape = {knob: spec.cfg[knob] for knob in (*TIMED_KNOBS, *STRUCTURAL_KNOBS) if knob in spec.cfg}
    machine = {"kind": device.kind, "versions": device.versions, "threads": spec.threads}
    return sha256_of({"shape": shape, "vocab": vocab, **machine})[:16]
