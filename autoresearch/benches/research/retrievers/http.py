"""A retrieval service with the interface of AutoResearchBench's: POST a query, receive papers."""

from __future__ import annotations

from typing import Any

from autoresearch.benches.jsonl import shown
from autoresearch.benches.research.papers import Paper, normalise_id
from autoresearch.benches.research.retrievers.port import Document, RetrieverFailed, distinct
from autoresearch.benches.research.retrievers.post import request_json
from autoresearch.core.llm_calls import Classification


class HttpRetriever:
    """POST ``{query, top_k, return_contents}``.

    The answer is ``{result: [{arxiv_id, title, authors, tldr, date, contents}]}``. The text of a document is ``tldr``
    and ``contents``: a text, a list of texts, or upstream's list of ``{section_contents: [..]}``. What the index holds
    is not known.
    """

    def __init__(self, name: str, url: str) -> None:
        self.name, self._url = name, url

    def search(self, query: str, top_k: int) -> tuple[Document, ...]:
        """The papers of the answer, at most ``top_k``, each once."""
        if top_k < 1:
            return ()
        answer = request_json(self._url, {"query": query, "top_k": top_k, "return_contents": True})
        result = answer.get("result") if isinstance(answer, dict) else None
        if not isinstance(result, list):
            raise self._malformed(f"without a list in 'result': {shown(answer)}")
        return distinct([self._document(item) for item in result])[:top_k]

    def has(self, paper: Paper) -> bool | None:
        """Not known."""
        return None

    def _document(self, item: object) -> Document:
        if not isinstance(item, dict):
            raise self._malformed(f"with an item that is not an object: {shown(item)}")
        identity, title = self._text(item, "arxiv_id"), self._text(item, "title")
        if not identity and not title:
            raise self._malformed(f"with an item that has neither arxiv_id nor title: {shown(item)}")
        authors = item.get("authors")
        names = tuple(str(a) for a in authors) if isinstance(authors, list) else (str(authors),) if authors else ()
        parts = (self._text(item, "tldr"), contents_text(item.get("contents")))
        return Document(normalise_id(identity), title, "\n".join(part for part in parts if part), names, _date(item))

    def _text(self, item: dict[str, Any], key: str) -> str:
        value = item.get(key)
        if value is not None and not isinstance(value, str):
            raise self._malformed(f"with {key} {shown(value)}, which is not a text")
        return (value or "").strip()

    def _malformed(self, why: str) -> RetrieverFailed:
        return RetrieverFailed(Classification.MALFORMED_RESPONSE, f"{self._url} answers {why}")


def contents_text(contents: object) -> str:
    """All texts of ``contents``, at any depth, in their order."""
    texts: list[str] = []
    open_items = [contents]
    while open_items:
        item = open_items.pop()
        if isinstance(item, str):
            texts.append(item.strip())
        elif isinstance(item, list):
            open_items.extend(reversed(item))
        elif isinstance(item, dict):
            open_items.extend(reversed(item.values()))
    return "\n".join(text for text in texts if text)


def _date(item: dict[str, Any]) -> str:
    value = item.get("date")
    return value if isinstance(value, str) else ", ".join(map(str, value)) if isinstance(value, list) else ""
