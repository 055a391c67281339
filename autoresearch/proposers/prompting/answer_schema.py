"""The JSON Schema of an LLM's answer, for ``response_format``: only knobs and choices that are still open."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from autoresearch.core.ports import Exhausted
from autoresearch.core.trajectory import Trajectory
from autoresearch.proposers.prompting.open_values import open_choices, open_integers, open_range
from autoresearch.proposers.space import Space
from rails import ChoiceKnob, IntKnob, Knob, Value

MAX_REASON_CHARS = 160
MAX_ENUM = 256  # whole numbers listed one by one: llama-cpp-python ignores ``minimum`` and ``maximum``
Refused = Mapping[str, Collection[Value]]  # by knob, the values that the rails refused in this conversation


def answer_schema(
    space: Space, trajectory: Trajectory, proposals: int, refused: Refused = MappingProxyType({})
) -> dict[str, Any]:
    """The schema of one answer with at most ``proposals`` proposals. Raises ``Exhausted`` when no knob is open.

    Where a proposal may change several knobs, it is one change or a list of them. What was ``refused`` in this
    conversation is left out: a listed value, and a knob whose values are a range. Where that leaves nothing, all is in.

    Only keywords that the grammar engines of vLLM, SGLang and llama.cpp know: ``enum`` in place of ``const``, and
    nothing like ``multipleOf`` or ``uniqueItems``. What a schema cannot express (a known value within
    an open range), the rails refuse afterwards.
    """
    values = {knob.name: _value_schema(space, knob, trajectory) for knob in space.menu.knobs.values()}
    left = {name: _without(schema, refused.get(name, ())) for name, schema in values.items() if schema is not None}
    if not any(left.values()):
        left = dict(values)
    variants = [_proposal_schema(name, schema) for name, schema in left.items() if schema is not None]
    if not variants:
        raise Exhausted("every value of the menu has been tried")
    if space.max_changes > 1 and len(values) > 1:
        variants.append(_several_schema(space))
    listed = {"type": "array", "minItems": 1, "maxItems": proposals, "items": {"anyOf": variants}}
    return _object({"proposals": listed})


def _proposal_schema(knob: str, value: dict[str, Any]) -> dict[str, Any]:
    return _object(
        {
            "knob": {"type": "string", "enum": [knob]},
            "new_value": value,
            "reason": {"type": "string", "maxLength": MAX_REASON_CHARS},
        }
    )


def _several_schema(space: Space) -> dict[str, Any]:
    """A list of changes. A value that is known alone may be proposed with another one, so the whole menu is allowed."""
    entries = [
        _object({"knob": {"type": "string", "enum": [name]}, "new_value": _whole_schema(knob)})
        for name, knob in space.menu.knobs.items()
    ]
    most = min(space.max_changes, len(entries))
    listed = {"type": "array", "minItems": 2, "maxItems": most, "items": {"anyOf": entries}}
    return _object({"changes": listed, "reason": {"type": "string", "maxLength": MAX_REASON_CHARS}})


def _whole_schema(knob: Knob) -> dict[str, Any]:
    if isinstance(knob, ChoiceKnob):
        return {"type": "integer" if isinstance(knob.choices[0], int) else "string", "enum": list(knob.choices)}
    if isinstance(knob, IntKnob) and knob.high - knob.low < MAX_ENUM:
        return {"type": "integer", "enum": list(range(knob.low, knob.high + 1))}
    return {"type": "integer" if isinstance(knob, IntKnob) else "number", "minimum": knob.low, "maximum": knob.high}


def _value_schema(space: Space, knob: Knob, trajectory: Trajectory) -> dict[str, Any] | None:
    """The schema of ``new_value``, or ``None`` where no value of the knob is open."""
    if isinstance(knob, ChoiceKnob):
        values = open_choices(space, knob, trajectory)
        kind = "integer" if isinstance(knob.choices[0], int) else "string"
        return {"type": kind, "enum": list(values)} if values else None
    if isinstance(knob, IntKnob) and knob.high - knob.low < MAX_ENUM:
        numbers = open_integers(space, knob, trajectory)
        return {"type": "integer", "enum": list(numbers)} if numbers else None
    ends = open_range(space, knob, trajectory)
    kind = "integer" if isinstance(knob, IntKnob) else "number"
    return {"type": kind, "minimum": ends[0], "maximum": ends[1]} if ends else None


def _without(schema: dict[str, Any], refused: Collection[Value]) -> dict[str, Any] | None:
    """The schema of ``new_value`` without refused values; ``None`` where nothing is left, and for a refused range."""
    if not refused:
        return schema
    listed = {(type(value), value) for value in refused}  # 1, 1.0 and True are equal
    values = [value for value in schema.get("enum", ()) if (type(value), value) not in listed]
    return schema | {"enum": values} if values else None


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
