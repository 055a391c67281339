"""The scored span of the validation split, as a value; choosing it needs numpy and lives in ``windows``."""

from __future__ import annotations

from autoresearch.core.values import FrozenModel

EVALUATOR_VERSION = 1
TOKENS_PER_FORWARD = 4096  # constant, so that the batches of the validation do not depend on any knob


class Span(FrozenModel):
    """The part of the validation split that is scored: tokens [start, start + tokens), ``bytes`` of UTF-8 text."""

    start: int
    tokens: int
    bytes: int
