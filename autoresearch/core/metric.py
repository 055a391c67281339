"""A metric other than bits per byte, by its own name: what a trial of trainer ``command`` returned. Pure."""

from __future__ import annotations

from typing import Any, Literal

from autoresearch.core.values import FrozenModel

BITS_PER_BYTE = "val_bpb"  # the metric whose value is in ``val_bpb`` of the records; every other one is in ``metric``
Direction = Literal["lower", "higher"]


class MetricKind(FrozenModel):
    """What is measured. ``direction`` says which values are better; ``unit`` is for people."""

    name: str
    direction: Direction
    unit: str = ""


class Metric(FrozenModel):
    """A value of a metric, with the name and the direction that make it readable alone."""

    name: str
    value: float
    direction: Direction

    @property
    def kind(self) -> MetricKind:
        """The metric without a value, and without a unit."""
        return MetricKind(name=self.name, direction=self.direction)


class MetricWords:
    """How a report names a metric and its direction; ``None`` is bits per byte."""

    def __init__(self, kind: MetricKind | None) -> None:
        self.is_bits_per_byte = kind is None
        self.name = kind.name if kind else BITS_PER_BYTE
        self.unit = (kind.unit if kind else "bits per byte") or ""
        self.higher_is_better = kind is not None and kind.direction == "higher"

    @property
    def named_unit(self) -> str:
        """What follows a value in a line of the terminal: its unit, or the name where the unit does not say it."""
        if self.is_bits_per_byte:
            return self.unit
        return f"{self.name} in {self.unit}" if self.unit else self.name

    @property
    def improves(self) -> str:
        return "raises" if self.higher_is_better else "lowers"

    @property
    def beyond(self) -> str:
        """On which side of the baseline a gain is."""
        return "above" if self.higher_is_better else "below"

    @property
    def best(self) -> str:
        """Of single measurements, the one that is best."""
        return "highest" if self.higher_is_better else "lowest"


def named_kind(kind: MetricKind | None) -> MetricKind | None:
    """``None`` for bits per byte, which has fields of its own in records and reports."""
    return None if kind is None or kind.name == BITS_PER_BYTE else kind


def loss_of(value: float, direction: Direction) -> float:
    """The value as a loss, of which less is better: negated where higher is better. It is its own inverse."""
    return value if direction == "lower" else -value


def value_of(val_bpb: float | None, metric: Metric | None) -> float:
    """The one of both that a record has. Raises ``ValueError`` where it has neither."""
    value = metric.value if metric else val_bpb
    if value is None:
        raise ValueError("a record has either val_bpb or metric")
    return value


def refuse_two_values(bpb: str, val_bpb: float | None, other: str, metric: Metric | None) -> None:
    """Raise ``ValueError`` unless exactly one of the two fields of a record has a value."""
    if (val_bpb is None) == (metric is None):
        raise ValueError(f"either {bpb} or {other} is needed, and not both")


def one_of(bpb: str, other: str) -> dict[str, Any]:
    """The same for the JSON Schema of a record."""
    number, table = {bpb: {"type": "number"}}, {other: {"type": "object"}}
    return {"oneOf": [{"properties": number, "required": [bpb]}, {"properties": table, "required": [other]}]}


def mean_metric(metric: Metric | None, mean_loss: float) -> Metric | None:
    """The metric with the mean of several trials, given as a loss; ``None`` where the metric is bits per byte."""
    return metric and metric.model_copy(update={"value": loss_of(mean_loss, metric.direction)})
