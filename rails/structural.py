"""The structural knobs: parts of the model and of its optimizer that differ from the origin's GPT. One row for each.

They are not on the shipped menu, whose 13 knobs are the origin's. A profile, a settings file or a menu file puts one on
its menu by name (``[menu.knobs] activation = {}``); a configuration without one has the origin's part.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True)
class StructuralKnob:
    """``origin``: the value of the origin's GPT, which a configuration without the knob has; ``others``: the rest."""

    origin: str
    others: tuple[str, ...]
    doc: str

    @property
    def choices(self) -> tuple[str, ...]:
        """Every value, the origin's first."""
        return (self.origin, *self.others)

    @property
    def menu_entry(self) -> dict[str, Any]:
        """The knob as an entry of a menu."""
        return {"type": "choice", "choices": list(self.choices), "default": self.origin, "doc": self.doc}


# Each of them changes the time of a step: none is in ``knob_facts.UNTIMED_KNOBS``.
STRUCTURAL_KNOBS: Mapping[str, StructuralKnob] = MappingProxyType(
    {
        "optimizer": StructuralKnob(
            "adamw",
            ("muon",),
            "Optimizer of the layers' matrices: AdamW, or Muon beside AdamW for the rest. "
            "Muon's own FLOPs count in a budget of FLOPs.",
        ),
        "position": StructuralKnob(
            "learned",
            ("rope",),
            "How positions enter: a learned table that is added to the embedding, or a rotation of queries and keys.",
        ),
        "qk_norm": StructuralKnob(
            "off", ("on",), "Whether each head's query and key are divided by their root mean square, without a gain."
        ),
        "activation": StructuralKnob(
            "gelu", ("relu2",), "Activation of each MLP: GELU, or the square of ReLU; the costs are the same."
        ),
        "head": StructuralKnob(
            "tied", ("untied",), "Output layer: the token embedding's own weights, or a matrix of its own beside them."
        ),
    }
)


def value_of(cfg: Mapping[str, Any], name: str) -> Any:
    """The value of a structural knob in a configuration, the origin's where it has none."""
    return cfg.get(name, STRUCTURAL_KNOBS[name].origin)


def unknown_structure(cfg: Mapping[str, Any]) -> str:
    """The first structural value of ``cfg`` that is not one of the table, in words; empty where all are."""
    for name, knob in STRUCTURAL_KNOBS.items():
        if (value := value_of(cfg, name)) not in knob.choices:
            return f"{name} = {value!a} is not one of {', '.join(knob.choices)}"
    return ""
