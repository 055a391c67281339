"""Measured training speeds, the records of envelope.jsonl, and the conditions under which two can be compared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from autoresearch.core.measurement import Failure
from autoresearch.core.records import Yardstick
from autoresearch.core.values import Cfg, FrozenModel, NotNegative, Positive, PositiveInt, decode_record
from rails import Config
from rails.knob_facts import UNTIMED_KNOBS

METHOD = 1  # incremented by every change after which measured speeds are not comparable
ROUNDS = 5


class Speed(FrozenModel):
    """The measured speed of one configuration. Tokens and seconds are those of the timed steps."""

    ok: Literal[True] = True
    steps: PositiveInt  # timed, of each kind
    random_tokens_per_s: Positive
    real_tokens_per_s: Positive
    random_step_ms: Positive  # median over the rounds, as all of these
    real_step_ms: Positive
    data_path_frac: float  # 1 - real / random speed: below 0 where noise is larger than the cost
    data_path_spread: NotNegative  # half the range over the rounds
    batch_ms: NotNegative  # host time to make one real batch; on a GPU it can hide behind the device's work
    random_rounds_ms: tuple[Positive, ...]  # per step, one of each round
    real_rounds_ms: tuple[Positive, ...]
    flops_per_token: PositiveInt
    peak_bytes: PositiveInt
    device: str
    energy_j: Positive | None = (
        None  # of all timed steps, by the GPU's own counter; null without one, or in too short a time
    )
    watts: Positive | None = None
    tokens_per_joule: Positive | None = None
    trial_wall_s: NotNegative = 0.0  # as the daemon saw it, process start and end included


class MatmulPeak(FrozenModel):
    """The fastest dense matrix product measured on a device in one precision."""

    ok: Literal[True] = True
    flops_per_s: Positive
    trial_wall_s: NotNegative = 0.0


class Timing(FrozenModel):
    """How long to measure: ``steps`` of each kind, divided among the rounds."""

    steps: Annotated[int, Field(ge=1, le=100_000)] = 20

    @property
    def blocks(self) -> list[int]:
        """The steps of each round, as equal as possible: 12 steps are 3, 3, 2, 2, 2."""
        rounds = min(ROUNDS, self.steps)
        return [self.steps // rounds + (i < self.steps % rounds) for i in range(rounds)]


Swept = tuple[int, int, str]  # batch_size, seq_len, precision: what `autoresearch envelope` sweeps


def swept(cfg: Config) -> Swept:
    """Return the coordinates of a configuration on the sweep."""
    return int(cfg["batch_size"]), int(cfg["seq_len"]), str(cfg["precision"])


SWEPT = ("batch_size", "seq_len", "precision")
# With UNTIMED_KNOBS, the fields that a step's time does not depend on. Everything else is assumed to matter, so a new
# knob or a new field of the yardstick invalidates old points.
UNTIMED_YARDSTICK = frozenset(
    {
        *("span_start_token", "span_tokens", "span_bytes", "evaluator_version", "initialisation"),
        *("budget_kind", "budget_size", "budget_flops"),
    }
)


class Conditions(FrozenModel):
    """Written before the first record of its kind: what ``conditions_sha256`` stands for."""

    kind: Literal["conditions"] = "conditions"
    ts: str
    conditions_sha256: str
    conditions: dict[str, Any]


class Peak(FrozenModel):
    """The device's matmul peak in one precision, or why there is none."""

    kind: Literal["peak"] = "peak"
    ts: str
    conditions_sha256: str
    precision: str
    outcome: MatmulPeak | Failure


class Point(FrozenModel):
    """One point of the sweep: measured, failed, or refused before it ran (then ``outcome`` is null)."""

    kind: Literal["point"] = "point"
    ts: str
    conditions_sha256: str
    batch_size: PositiveInt
    seq_len: PositiveInt
    precision: str
    steps: PositiveInt  # requested, of each kind
    outcome: Speed | Failure | None = None
    refused: str = ""
    mfu: NotNegative | None = None  # on the corpus, of the matmul peak in the same precision

    @property
    def speed(self) -> Speed | None:
        return self.outcome if isinstance(self.outcome, Speed) else None

    @property
    def failure(self) -> Failure | None:
        return self.outcome if isinstance(self.outcome, Failure) else None

    @property
    def status(self) -> str:
        """``measured``, ``failed`` or ``refused``."""
        return "measured" if self.speed else "failed" if self.failure else "refused"

    @property
    def swept(self) -> Swept:
        return self.batch_size, self.seq_len, self.precision

    @property
    def tokens_per_step(self) -> int:
        return self.batch_size * self.seq_len


Record = Conditions | Peak | Point
_RECORD: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="kind")])


def decode_speed(payload: bytes | str) -> Record:
    """Decode one record of envelope.jsonl. Raises ``JournalDamaged`` with the field that is wrong."""
    return decode_record(_RECORD, payload)


def speed_conditions(yardstick: Yardstick, cfg: Cfg) -> dict[str, Any]:
    """Return what a step's time depends on besides the swept knobs: corpus, trainer, device, versions, model."""
    leave_out = UNTIMED_KNOBS.union(SWEPT)
    return {
        "method": METHOD,
        **{k: v for k, v in yardstick.model_dump(mode="json").items() if k not in UNTIMED_YARDSTICK},
        "model": {k: v for k, v in cfg.items() if k not in leave_out},
    }


def latest_points(records: Iterable[Record], conditions_sha256: str, steps: int) -> dict[Swept, Point]:
    """Return the last record of each point that was measured under these conditions with ``steps`` steps."""
    mine = (r for r in records if isinstance(r, Point) and r.conditions_sha256 == conditions_sha256)
    return {point.swept: point for point in mine if point.steps == steps}


def latest_peaks(records: Iterable[Record], conditions_sha256: str) -> dict[str, float]:
    """Return the matmul peak of each precision in FLOP/s, where one was measured under these conditions."""
    mine = (r for r in records if isinstance(r, Peak) and r.conditions_sha256 == conditions_sha256)
    return {r.precision: r.outcome.flops_per_s for r in mine if isinstance(r.outcome, MatmulPeak)}
