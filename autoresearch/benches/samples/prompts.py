"""The prompt of each kind of case. A change of a text changes the run: its hash is in the first record."""

from __future__ import annotations

from typing import Any

INSTRUCTIONS = {
    "math": r"Solve the problem. Put the final answer, and only the final answer, inside \boxed{}.",
    "mcq": (
        r"Answer the multiple-choice question. Put the letter of your choice, and only the letter, inside \boxed{}, "
        "or end with a line of this form: Answer: X"
    ),
    "exact": r"Answer the question. Put the answer, and only the answer, inside \boxed{}.",
    "judge": r"Answer the question. Put your final answer, as short as it can be, inside \boxed{}.",
}
PROMPT_TEXT = "\n".join(f"{kind}: {text}" for kind, text in INSTRUCTIONS.items())


def build_messages(payload: dict[str, Any], system: str | None) -> list[dict[str, str]]:
    """The messages of one sample, in OpenAI's form; ``system`` is the system message of the run, if it has one."""
    question = f"{INSTRUCTIONS[payload['kind']]}\n\n{payload['question']}"
    before = [{"role": "system", "content": system}] if system else []
    return [*before, {"role": "user", "content": question}]
