"""Overflows of the context: whether the prompt was too long, or only the tokens reserved for the completion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autoresearch.benches.prompt_tokens import prompt_tokens_in
from autoresearch.benches.records import BenchTrial
from autoresearch.benches.research.fitting import SHORT_COMPLETION
from autoresearch.llm.classify import context_length_in


def find_overflows(trials: Sequence[BenchTrial]) -> list[dict[str, Any]]:
    """Of each attempt that ended by an overflow: the tokens of its last prompt, and the context where it is known.

    ``by_reserve``: the prompt left room for a completion, so a smaller reserve would have fitted; ``null``: not known.
    """
    found = []
    for trial in trials:
        if trial.status != "context_length_exceeded" or not trial.turns:
            continue
        turn = trial.turns[-1]
        message = str(turn.get("error_message") or "")
        prompt: int | None = prompt_tokens_in(message) or turn.get("input_tokens")
        context: int | None = turn.get("context_tokens") or context_length_in(message)
        found.append(
            {
                "case": trial.case,
                "sample": trial.sample,
                "prompt_tokens": prompt,
                "context_tokens": context,
                "by_reserve": None if prompt is None or context is None else prompt + SHORT_COMPLETION <= context,
            }
        )
    return found


def describe_overflows(overflows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line, or none."""
    prompts = [item["prompt_tokens"] for item in overflows if item["prompt_tokens"] is not None]
    if not overflows:
        return []
    size = f", with prompts of {min(prompts):,} to {max(prompts):,} tokens" if prompts else ""
    line = f"overflows: {len(overflows)}{size}"
    if by_reserve := sum(bool(item["by_reserve"]) for item in overflows):
        line += f"; in {by_reserve} the prompt fitted, and only the tokens reserved for the completion did not"
    if unknown := sum(item["by_reserve"] is None for item in overflows):
        line += f"; of {unknown} the context is not recorded: compare the prompts with the server's max_model_len"
    return [line]
