"""A condition that a test sets, for whatever asks a function."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Switch:
    """Answers ``on``; stands for the user's second signal, for example."""

    on: bool = False

    def __call__(self) -> bool:
        return self.on
