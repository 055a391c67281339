"""The daemon's side of torch.compile: ask a child for the times once per machine and shape, keep them, decide."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from autoresearch.errors import ConfigError
from autoresearch.files import atomic_write
from autoresearch.records import sha256_of
from autoresearch.training.compiling import CompileTimes, could_pay, steps_of
from autoresearch.training.spec import Device, TrialSpec
from autoresearch.trial import ChildRunner
from autoresearch.trial_server import compile_cache

TIMES = "times.json"  # beside what was compiled, so that both are lost together
SHAPE = ("n_layer", "n_head", "d_model", "d_ff", "batch_size", "seq_len", "precision")


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
        said, exit_code, _peak = runner.run(request, lambda *_: None, limit, deadline_s)
        try:
            times = CompileTimes.model_validate((said.answer or {}).get("compile_times"))
        except ValidationError:
            tail = said.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {exit_code}"]
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
    shape = {knob: spec.cfg[knob] for knob in SHAPE}
    machine = {"kind": device.kind, "versions": device.versions, "threads": spec.threads}
    return sha256_of({"shape": shape, "vocab": vocab, **machine})[:16]
