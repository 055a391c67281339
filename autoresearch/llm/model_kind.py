"""Tell chat models from the others that a server lists beside them: embeddings, rerankers, speech, images."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# Fields in which servers state what a model is for: LM Studio, Xinference, Infinity, llama.cpp, TEI, Mistral, Ollama.
_KIND_FIELDS = ("type", "model_type", "task", "tasks", "capabilities", "mode", "object_type", "pipeline_tag")
_OTHER = re.compile(
    r"embed|rerank|ranking|retriev|cross-?encoder|feature-extraction|sentence-similarity|classif|moderation"
    r"|transcri|speech|audio|text-to-|image|diffusion|\btts\b|\basr\b|\bstt\b",
    re.IGNORECASE,
)
_CHAT = re.compile(r"chat|llm|generat|completion|vlm|text-to-text|conversation", re.IGNORECASE)
_OTHER_NAME = re.compile(
    r"embed|rerank|cross-?encoder|retriever|colbert|minilm|moderation|whisper|stable-?diffusion|dall-?e"
    r"|(^|[/_.-])(bge|e5|gte|clip|siglip|tts|parakeet|kokoro|flux|sdxl)([/_.\d-]|$)",
    re.IGNORECASE,
)
# How servers refuse a chat with a model of another kind.
NOT_A_CHAT_MODEL = re.compile(
    r"(does|do|is|are) not (support|a|an|for|meant for)\W{1,3}(\w+[ -]){0,3}(chat|llm|completions?|generat)"
    r"|(is|for) (an? )?(embedding|rerank|pooling)|only supports? (embedding|rerank|pooling)|embeddings? only"
    r"|not (a )?(chat|language|generative|text[- ]generation) model|no chat[ _]template",
    re.IGNORECASE,
)


def is_chat_model(name: str, entry: Mapping[str, Any]) -> bool:
    """Whether a listed model may be asked: by what its entry states, else by its name."""
    stated = " ".join(_words(entry.get(field)) for field in _KIND_FIELDS)
    if _CHAT.search(stated):
        return True
    return not (_OTHER.search(stated) or _OTHER_NAME.search(name))


def _words(value: object) -> str:
    """The text of a field: a word, a list of words, or a table of flags."""
    if isinstance(value, Mapping):
        return " ".join(str(key) for key, flag in value.items() if flag is not False)
    if isinstance(value, list | tuple):
        return " ".join(word for word in value if isinstance(word, str))
    return value if isinstance(value, str) else ""
