"""Explain the choice of a model among those that a server lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autoresearch.llm.parse import Model

SHOWN_CHARS = 200  # of a server's message, in a notification


def explain_missing_model(listed: Sequence[Model], wanted: str | None, refusals: Mapping[str, str]) -> str:
    """Why no listed model is asked. ``refusals`` are the messages of models that refused to chat."""
    names = ", ".join(m.name for m in listed)[:SHOWN_CHARS]
    if not listed:
        return "the server lists no model"
    if wanted:
        return f"no model {wanted}; the server has: {names}"
    why = refusals.get(listed[0].name)
    return f"the server lists no chat model, only: {names}{f' ({why})' if why else ''}"


def explain_skipped_models(listed: Sequence[Model], selected: Model) -> str:
    """Which models of another kind are listed before the one that is asked; empty if none is."""
    skipped = [m.name for m in listed[: listed.index(selected)] if not m.is_chat]
    if not skipped:
        return ""
    names = ", ".join(skipped)[:SHOWN_CHARS]
    return f"{names}: not a chat model; {selected.name[-SHOWN_CHARS:]} is asked (--model NAME asks another)"
