"""Adversarial cases with the rail that must refuse each, and how the gate does on them.

``cases.jsonl`` holds the named cases; ``generated`` derives more from any menu; ``score`` counts.
"""

from rails.bench.case import Case, Context, load_cases
from rails.bench.generated import generate
from rails.bench.score import Miss, Score, score

__all__ = ["Case", "Context", "Miss", "Score", "generate", "load_cases", "score"]
