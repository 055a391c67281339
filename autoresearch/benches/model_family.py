"""Families of models, by name: a judge of the agent's own family favours it. Pure.

(Panickssery et al. 2024, "LLM Evaluators Recognize and Favor Their Own Generations".)
"""

from __future__ import annotations

import re

# Families by words that begin a part of a model's name. A derived model has the families of its origin too, where its
# name says so: Llama-3.3-Nemotron is of both, DeepSeek-R1-Distill-Qwen as well.
FAMILIES: dict[str, tuple[str, ...]] = {
    "anthropic": ("claude",),
    "cohere": ("command", "aya", "c4ai"),
    "deepseek": ("deepseek",),
    "falcon": ("falcon",),
    "glm": ("glm", "chatglm"),
    "google": ("gemma", "gemini", "codegemma", "medgemma", "palm", "t5gemma"),
    "granite": ("granite",),
    "grok": ("grok",),
    "hunyuan": ("hunyuan",),
    "internlm": ("internlm",),
    "kimi": ("kimi", "moonlight"),
    "llama": ("llama", "codellama", "vicuna", "alpaca", "tulu"),
    "minimax": ("minimax",),
    "mistral": ("mistral", "mixtral", "ministral", "codestral", "devstral", "magistral", "pixtral", "mathstral"),
    "nemotron": ("nemotron", "minitron"),
    "olmo": ("olmo", "olmoe"),
    "openai": ("gpt", "chatgpt", "o1", "o3", "o4"),
    "phi": ("phi",),
    "qwen": ("qwen", "qwq", "qvq", "codeqwen"),
    "smollm": ("smollm",),
    "yi": ("yi",),
}
_NUMBERED = frozenset({"o1", "o3", "o4"})


def families_of(model: str) -> frozenset[str]:
    """The families that the name of a model shows; for an unknown one its own first word."""
    name = model.lower().rstrip("/").rsplit("/", 1)[-1] or model.lower()
    tokens = [token for token in re.split(r"[^a-z0-9]+", name) if token]
    found = {family for token in tokens for family, words in FAMILIES.items() if _is_one_of(token, words)}
    if not found and tokens:
        found = {re.sub(r"\d+$", "", tokens[0]) or tokens[0]}
    return frozenset(found)


def same_family(a: str, b: str) -> bool:
    """Whether two models share a family, or are the same model."""
    return a == b or bool(families_of(a) & families_of(b))


def _is_one_of(token: str, words: tuple[str, ...]) -> bool:
    """``qwen3`` is of ``qwen``; ``o1`` is only ``o1``; ``yield`` is not of ``yi``."""
    return any(token == word or (word not in _NUMBERED and re.fullmatch(rf"{word}\d+[a-z]?", token)) for word in words)
