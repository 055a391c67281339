"""The daemon's side of torch.compile: ask a child for the times once per machine and shape, keep them, decide."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from autoresearch.core.values import FrozenModel, sha256_of
from autoresearch.errors import ConfigError
from autoresearch.storage.files import atomic_write
from autoresearch.trials.runner import ChildRunner
from autoresearch.trials.server import compile_cache
from autoresearch.trials.spec import Device, TrialSpec
from rails.knob_facts import TIMED_KNOBS

# More than compiling has brought (1.3 on a CPU with a vocabulary of 50k) and less time than it has taken anywhere (13 s
# and more): where even these do not pay, nothing needs to be compiled to know.
HOPED_SPEEDUP = 1.6
LEAST_COMPILE_S = 8.0


class CompileTimes(FrozenModel):
    """Seconds, of the baseline: a step without and with compiled layers, and compiling them."""

    eager_step_s: float
    compiled_step_s: float | None = None  # null where the trial is too short to try it
    compile_s: float | None = None

    def pays(self, steps: int) -> bool:
        """Whether a trial of so many steps earns back a compile that nothing was cached of."""
        if self.compiled_step_s is None or self.compile_s is None:
            return False
        return steps * (self.eager_step_s - self.compiled_step_s) > self.compile_s

    def explain(self, steps: int) -> str:
        """One line for a terminal."""
        eager = f"a step takes {self.eager_step_s:.3g} s"
        if self.compiled_step_s is None or self.compile_s is None:
            return f"not compiled: {eager}, {steps} of them cannot earn a compile back"
        found = f"{eager}, compiled {self.compiled_step_s:.3g} s, compiling {self.compile_s:.3g} s"
        return f"{'compiled' if self.pays(steps) else 'not compiled'}: {found}, {steps} steps a trial"


def could_pay(eager_step_s: float, steps: int) -> bool:
    """Whether it is worth a compile to find out."""
    return steps * eager_step_s * (1 - 1 / HOPED_SPEEDUP) > LEAST_COMPILE_S


def steps_of(spec: TrialSpec, eager_step_s: float) -> int:
    """Optimizer steps of a trial; of one on the clock, as many as it would make without compiling."""
    steps = spec.budget.steps(int(spec.cfg["batch_size"]), int(spec.cfg["seq_len"]))
    return steps if steps is not None else int(spec.budget.size / eager_step_s)


TIMES = "times.json"  # beside what was compiled, so that both are lost together


def decide_compiled(
    wanted: str,
    spec: TrialSpec,
    vocab: int,
    device: Device,
    runner: ChildRunner,
    deadline_s: float,
    say: Callable[[str], None],
) -> bool:
    """Whether this run's trials compile their layers. ``spec`` is the baseline's trial. Raises ``ConfigError``."""
    refuse_compiled(wanted, spec.trainer)
    if spec.trainer != "torch":
        return False
    if wanted != "auto":
        return wanted == "on"
    times = known_times(spec, vocab, device)
    if times is None:
        limit = spec.memory_limit_bytes
        request = {"compile_times": spec.model_dump(mode="json")}
        output, exit_code, _peak = runner.run(request, lambda *_: None, limit, deadline_s)
        try:
            times = CompileTimes.model_validate((output.answer or {}).get("compile_times"))
        except ValidationError:
            tail = output.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {exit_code}"]
            say(f"not compiled: torch.compile cannot be tried here ({tail[0]})")
            return False
        keep_times(spec, vocab, device, times)
    steps = steps_of(spec, times.eager_step_s)
    say(times.explain(steps))
    return times.pays(steps)


def refuse_compiled(wanted: str, trainer: str) -> None:
    """Raise ``ConfigError`` for a trainer whose layers are not compiled."""
    if wanted == "on" and trainer != "torch":
        hint = "leave compile at auto: Megatron's layers break the graph so often that they become slower"
        raise ConfigError(f"compile = 'on' with trainer {trainer}", hint=hint)


def known_times(spec: TrialSpec, vocab: int, device: Device) -> CompileTimes | None:
    """What was measured before for this shape on this machine, if it answers the question."""
    try:
        times = CompileTimes.model_validate(json.loads(_file().read_text())[_key(spec, vocab, device)])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    untried = times.compiled_step_s is None and could_pay(times.eager_step_s, steps_of(spec, times.eager_step_s))
    return None if untried else times


def keep_times(spec: TrialSpec, vocab: int, device: Device, times: CompileTimes) -> None:
    """Remember for the next run; a full disk costs only the memory."""
    try:
        kept = dict(json.loads(_file().read_text()))
    except (OSError, ValueError, TypeError):
        kept = {}
    try:
        _file().parent.mkdir(parents=True, exist_ok=True)
        kept[_key(spec, vocab, device)] = times.model_dump()
        atomic_write(_file(), json.dumps(kept, indent=1).encode())
    except OSError:
        pass


def _file() -> Path:
    return compile_cache() / TIMES


def _key(spec: TrialSpec, vocab: int, device: Device) -> str:
    shape = {knob: spec.cfg[knob] for knob in TIMED_KNOBS}
    machine = {"kind": device.kind, "versions": device.versions, "threads": spec.threads}
    return sha256_of({"shape": shape, "vocab": vocab, **machine})[:16]
