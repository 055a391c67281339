"""What the code has to know of each knob of the shipped menu beyond the menu's own entry. One row for each knob.

A knob that only a user's own menu has is in no row: it counts as one that may change a step's time, and no part of the
code builds a model, a compile key or an export from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True, slots=True)
class KnobFacts:
    """``kind`` of the values; ``shapes_model``: sets the size of a parameter; ``changes_step_time``: of one step."""

    kind: Literal["integer", "number", "name"]
    shapes_model: bool = False
    changes_step_time: bool = False


# In the menu's order. The tuples below keep it: some of them are hashed into records and caches.
KNOB_FACTS: Mapping[str, KnobFacts] = MappingProxyType(
    {
        "n_layer": KnobFacts("integer", shapes_model=True, changes_step_time=True),
        "n_head": KnobFacts("integer", shapes_model=True, changes_step_time=True),
        "d_model": KnobFacts("integer", shapes_model=True, changes_step_time=True),
        "d_ff": KnobFacts("integer", shapes_model=True, changes_step_time=True),
        "lr": KnobFacts("number"),
        "lr_warmup": KnobFacts("integer"),
        "grad_clip": KnobFacts("number"),
        "weight_decay": KnobFacts("number"),
        "beta1": KnobFacts("number"),
        "beta2": KnobFacts("number"),
        "batch_size": KnobFacts("integer", changes_step_time=True),
        "seq_len": KnobFacts("integer", shapes_model=True, changes_step_time=True),  # rows of the position table
        "precision": KnobFacts("name", changes_step_time=True),
    }
)

INTEGER_KNOBS = tuple(name for name, facts in KNOB_FACTS.items() if facts.kind == "integer")
NUMBER_KNOBS = tuple(name for name, facts in KNOB_FACTS.items() if facts.kind == "number")
MODEL_SHAPE_KNOBS = tuple(name for name, facts in KNOB_FACTS.items() if facts.shapes_model)
TIMED_KNOBS = tuple(name for name, facts in KNOB_FACTS.items() if facts.changes_step_time)
UNTIMED_KNOBS = frozenset(KNOB_FACTS).difference(TIMED_KNOBS)
