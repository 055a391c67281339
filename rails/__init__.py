"""The rails: decide which change to a training configuration may be tried. Deterministic; no model is involved.

>>> from rails import gate, default_menu
>>> verdict = gate('{"knob": "d_model", "new_value": 768, "reason": "smaller"}', default_menu().defaults)
>>> verdict.ok, verdict.rail
(True, <Rail.PASSED: 'passed'>)
"""

from rails.checks import budget as over_budget
from rails.explain import Outcome, RailOutcome, explain
from rails.gate import gate
from rails.knobs import ChoiceKnob, FloatKnob, IntKnob, Knob, Value, is_finite, same_value
from rails.menu import Menu, MenuError, Steps, default_menu, load_menu, parse_menu
from rails.novelty import Tried
from rails.structural import STRUCTURAL_KNOBS, StructuralKnob
from rails.verdict import Config, Estimate, Limits, Proposal, Rail, Verdict

__all__ = [
    "ChoiceKnob",
    "Config",
    "Estimate",
    "FloatKnob",
    "IntKnob",
    "Knob",
    "Limits",
    "Menu",
    "MenuError",
    "Outcome",
    "Proposal",
    "Rail",
    "RailOutcome",
    "STRUCTURAL_KNOBS",
    "Steps",
    "StructuralKnob",
    "Tried",
    "Value",
    "Verdict",
    "default_menu",
    "explain",
    "gate",
    "is_finite",
    "load_menu",
    "parse_menu",
    "same_value",
    "over_budget",
]
