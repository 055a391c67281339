"""The records of envelope.jsonl: measured speeds, and under which conditions two of them mean the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from autoresearch.errors import JournalDamaged, JournalError
from autoresearch.journal import read
from autoresearch.records import Cfg, Failure, NotNegative, Plain, PositiveInt, Yardstick, sha256_of
from autoresearch.training.estimate import Swept, swept
from autoresearch.training.speed import METHOD, MatmulPeak, Speed

ENVELOPE = "envelope.jsonl"
SWEPT = ("batch_size", "seq_len", "precision")
# What no step's time depends on. Everything else does until shown otherwise, so a new knob or a new field of the
# yardstick makes old points count no more.
UNTIMED_KNOBS = frozenset({"lr", "lr_warmup", "grad_clip", "weight_decay", "beta1", "beta2"})
UNTIMED_YARDSTICK = frozenset(
    {"span_start_token", "span_tokens", "span_bytes", "evaluator_version", "budget_kind", "budget_size"}
)


class Conditions(Plain):
    """Written before the first record of its kind: what ``conditions_sha256`` stands for."""

    kind: Literal["conditions"] = "conditions"
    ts: str
    conditions_sha256: str
    conditions: dict[str, Any]


class Peak(Plain):
    """The device's matmul peak in one precision, or why there is none."""

    kind: Literal["peak"] = "peak"
    ts: str
    conditions_sha256: str
    precision: str
    outcome: MatmulPeak | Failure


class Point(Plain):
    """One point of the sweep: measured, failed, or refused before it ran (then ``outcome`` is null)."""

    kind: Literal["point"] = "point"
    ts: str
    conditions_sha256: str
    batch_size: PositiveInt
    seq_len: PositiveInt
    precision: str
    steps: PositiveInt  # asked for, of each kind
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


def conditions_of(yardstick: Yardstick, cfg: Cfg) -> dict[str, Any]:
    """Everything that a step's time depends on besides the swept knobs: corpus, trainer, device, versions, model."""
    leave_out = UNTIMED_KNOBS.union(SWEPT)
    return {
        "method": METHOD,
        **{k: v for k, v in yardstick.model_dump(mode="json").items() if k not in UNTIMED_YARDSTICK},
        "model": {k: v for k, v in cfg.items() if k not in leave_out},
    }


def decode_all(path: Path, payloads: Iterable[bytes]) -> list[Record]:
    """The records of ``path``. Raises ``JournalDamaged`` with the number of the line that is none."""
    records: list[Record] = []
    for number, payload in enumerate(payloads, 1):
        try:
            records.append(_RECORD.validate_json(payload))
        except ValidationError as e:
            first = e.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the record"
            hint = "was it written by a newer version? `autoresearch envelope --fresh` begins anew and keeps it aside"
            raise JournalDamaged(f"{path}: line {number}: {where}: {first['msg']}", hint=hint) from e
    return records


def latest_points(records: Iterable[Record], conditions_sha256: str, steps: int) -> dict[Swept, Point]:
    """The last record of each point that was taken under these conditions with so many steps."""
    mine = (r for r in records if isinstance(r, Point) and r.conditions_sha256 == conditions_sha256)
    return {point.swept: point for point in mine if point.steps == steps}


def latest_peaks(records: Iterable[Record], conditions_sha256: str) -> dict[str, float]:
    """The matmul peak of each precision in FLOP/s, where one was measured under these conditions."""
    mine = (r for r in records if isinstance(r, Peak) and r.conditions_sha256 == conditions_sha256)
    return {r.precision: r.outcome.flops_per_s for r in mine if isinstance(r.outcome, MatmulPeak)}


def step_seconds(
    run_dir: Path, yardstick: Yardstick, baseline: Cfg, said: Callable[[str], None]
) -> Mapping[Swept, float]:
    """Seconds per step on the corpus of every point measured under this run's conditions, for R7; the last one counts.

    Empty without the baseline's own point, which every ratio needs. A damaged file is told, and costs no run.
    """
    path = run_dir / ENVELOPE
    try:
        records = decode_all(path, read(path).payloads)
    except JournalError as e:
        said(f"the measured speeds are not used: {e.what}")
        return {}
    wanted = sha256_of(conditions_of(yardstick, baseline))
    points = (r for r in records if isinstance(r, Point) and r.conditions_sha256 == wanted)
    seconds = {point.swept: point.speed.real_step_ms / 1000 for point in points if point.speed}
    return seconds if swept(baseline) in seconds else {}
