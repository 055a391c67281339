"""What the daemon may request of the trial server: one child process per request, ``kind`` names the work.

Both ends are one version of this package, so the format may change at any time; it is not stored.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from autoresearch.core.speeds import Timing
from autoresearch.core.values import FrozenModel
from autoresearch.trials.spec import TrialSpec


class ProbeRequest(FrozenModel):
    """Look at a device ("auto", "cpu" or "cuda") and at the packages of a trainer."""

    kind: Literal["probe"] = "probe"
    device: str
    trainer: str


class CompileTimesRequest(FrozenModel):
    """Time the spec's configuration with and without compiled layers."""

    kind: Literal["compile_times"] = "compile_times"
    spec: TrialSpec


class TrialRequest(FrozenModel):
    """Train and score one configuration. Without a ``checkpoint`` folder the trial cannot be suspended."""

    kind: Literal["trial"] = "trial"
    spec: TrialSpec
    data_limit_bytes: int | None = None  # RLIMIT_DATA of the child
    checkpoint: str | None = None
    resume: bool = False  # continue from the checkpoint, if it can be used


class SpeedRequest(FrozenModel):
    """Time the optimizer steps of one configuration."""

    kind: Literal["speed"] = "speed"
    spec: TrialSpec
    timing: Timing
    data_limit_bytes: int | None = None  # RLIMIT_DATA of the child


class MatmulPeakRequest(FrozenModel):
    """Measure the fastest matrix product of the spec's device in one precision."""

    kind: Literal["matmul_peak"] = "matmul_peak"
    spec: TrialSpec
    precision: str
    data_limit_bytes: int | None = None  # RLIMIT_DATA of the child


LimitedRequest = TrialRequest | SpeedRequest | MatmulPeakRequest
Request = ProbeRequest | CompileTimesRequest | LimitedRequest

REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="kind")])
