"""Candidates near known points: a few knobs changed, taken over from another good point, or set back. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from autoresearch.proposers.cube import Array, Cube, is_word, step_of
from rails import ChoiceKnob

MOST_KNOBS = 4
SHARES = (0.3, 0.3, 0.2, 0.2)  # of candidates that change one to four knobs of their parent
EVEN_SHARE = 0.5  # of the choice of knobs that does not follow their relevance
TAKEN, SET_BACK = 0.15, 0.07  # share of changes that take another point's value, or the baseline's
NARROW = 0.35


@dataclass(frozen=True)
class Recipe:
    """``own`` is the baseline's place, ``others`` the best known ones; ``relevance`` is by knob."""

    cube: Cube
    own: Array
    others: Array
    length: float
    relevance: Array
    max_changes: int

    def narrower(self) -> Recipe:
        """For a second round, around the best of the first."""
        return replace(self, length=NARROW * self.length)


def draw_candidates(recipe: Recipe, parents: Array, count: int, rng: np.random.Generator) -> Array:
    """``count`` places, snapped to the menu; the same may occur twice."""
    knobs = len(recipe.cube.knobs)
    drawn = parents[np.arange(count) % len(parents)].copy()
    mask = _changed(recipe, count, rng)
    moved = _move(recipe, drawn, rng)
    taken = recipe.others[rng.integers(len(recipe.others), size=(count, knobs)), np.arange(knobs)]
    source = rng.random((count, knobs))
    moved = np.where(source < TAKEN, taken, np.where(source < TAKEN + SET_BACK, recipe.own, moved))
    drawn = recipe.cube.snap(np.where(mask, moved, drawn))
    return _limit_changes(recipe, drawn, rng)


def _changed(recipe: Recipe, count: int, rng: np.random.Generator) -> Array:
    """Which knobs each candidate changes: one to four, the relevant ones more often."""
    knobs = len(recipe.cube.knobs)
    total = float(recipe.relevance.sum())
    weight = EVEN_SHARE / knobs + (1 - EVEN_SHARE) * (recipe.relevance / total if total > 0 else 1.0 / knobs)
    keys = rng.random((count, knobs)) ** (1.0 / np.maximum(weight, 1e-9))  # weighted draw without replacement
    how_many = rng.choice(np.arange(1, MOST_KNOBS + 1), p=SHARES, size=count)
    ranks = np.argsort(np.argsort(-keys, axis=1), axis=1)
    return np.asarray(ranks < np.minimum(how_many, knobs)[:, None])


def _move(recipe: Recipe, places: Array, rng: np.random.Generator) -> Array:
    """Every knob moved within the region; what has steps moves by one at least, and a word to another word."""
    count, knobs = places.shape
    step = rng.uniform(-1.0, 1.0, (count, knobs)) * recipe.length
    for index, knob in enumerate(recipe.cube.knobs):
        column = places[:, index]
        if is_word(knob) and isinstance(knob, ChoiceKnob):
            words = len(knob.choices)
            ranks = np.rint(column * max(1, words - 1))
            other = (ranks + rng.integers(1, max(2, words), size=count)) % words
            step[:, index] = other / max(1, words - 1) - column
            continue
        least = 1.0 / max(1, len(knob.choices) - 1) if isinstance(knob, ChoiceKnob) else 0.0
        if not isinstance(knob, ChoiceKnob) and step_of(knob, 0.5) > 0:
            least = max(step_of(knob, float(p)) for p in (column.min(), column.max()))
        sign = np.where(step[:, index] < 0, -1.0, 1.0)
        sign = np.where(column + sign * least > 1 + 1e-9, -1.0, np.where(column + sign * least < -1e-9, 1.0, sign))
        step[:, index] = sign * np.maximum(np.abs(step[:, index]), least)
    return places + step


def _limit_changes(recipe: Recipe, places: Array, rng: np.random.Generator) -> Array:
    """Knobs beyond the most that a proposal may change are set back to the baseline, by chance."""
    changed = np.abs(places - recipe.own) > 1e-9
    keys = np.where(changed, rng.random(places.shape), -1.0)
    ranks = np.argsort(np.argsort(-keys, axis=1), axis=1)
    return np.where(changed & (ranks >= recipe.max_changes), recipe.own, places)
