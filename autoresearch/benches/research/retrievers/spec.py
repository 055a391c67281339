"""Retrievers as the command line names them: ``bm25:FILE``, ``http:URL``, ``embeddings:FILE@URL``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from autoresearch.benches.research.retrievers.bm25 import Bm25
from autoresearch.benches.research.retrievers.corpus import Corpus, load_corpus
from autoresearch.benches.research.retrievers.embeddings import Embeddings
from autoresearch.benches.research.retrievers.fusion import Fusion
from autoresearch.benches.research.retrievers.http import HttpRetriever
from autoresearch.benches.research.retrievers.port import Retriever
from autoresearch.config.base_url import check_base_url
from autoresearch.errors import ConfigError

FORMS = "--retriever bm25:FILE, --retriever http:URL, or --retriever embeddings:FILE@URL"


@dataclass(frozen=True, slots=True)
class RetrieverSpec:
    """One ``--retriever``; ``file`` and ``url`` are empty where the kind has none."""

    kind: Literal["bm25", "http", "embeddings"]
    file: str = ""
    url: str = ""

    @property
    def text(self) -> str:
        """As it is written on the command line."""
        return f"{self.kind}:{'@'.join(part for part in (self.file, self.url) if part)}"

    @property
    def name(self) -> str:
        """As records name it: without the folder, which differs between machines."""
        return f"{self.kind}:{'@'.join(part for part in (Path(self.file).name, self.url) if part)}"


def parse_spec(text: str) -> RetrieverSpec:
    """Parse the value of ``--retriever``; a URL alone is ``http``. Raises ``ConfigError``."""
    kind, _, rest = text.strip().partition(":")
    if kind in ("http", "https") and rest.startswith("//"):
        return RetrieverSpec("http", url=_url(text.strip(), text))
    if kind == "bm25" and rest:
        return RetrieverSpec("bm25", file=str(Path(rest).absolute()))
    if kind == "http" and rest:
        return RetrieverSpec("http", url=_url(rest, text))
    if kind == "embeddings" and rest:
        file, at, url = rest.rpartition("@")
        if not at or not file:
            raise ConfigError(f"--retriever {text}: embeddings needs a corpus and a server", hint=FORMS)
        try:
            return RetrieverSpec("embeddings", file=str(Path(file).absolute()), url=check_base_url(url))
        except ValueError as e:
            raise ConfigError(f"--retriever {text}: {url!r} is not the address of a server", hint=str(e)) from e
    raise ConfigError(f"--retriever {text!r} is not a retriever", hint=FORMS)


def _url(url: str, text: str) -> str:
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        has_host = False
    else:
        has_host = has_host and parts.scheme in ("http", "https")
    if not has_host or any(c.isspace() for c in url):
        hint = "give a URL that begins with http:// or https://, for example http:http://localhost:9000/search"
        raise ConfigError(f"--retriever {text}: {url!r} is not a URL", hint=hint)
    return url


def load_corpora(specs: Sequence[RetrieverSpec]) -> dict[str, Corpus]:
    """The corpora of the retrievers, by file, each read once. Raises ``CorpusError``, and ``ConfigError`` where two
    files have the same name: records could not tell them apart."""
    files = list(dict.fromkeys(spec.file for spec in specs if spec.file))
    names = [Path(file).name for file in files]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two corpora have the name {name}", hint="rename one: records hold the name alone")
    return {file: load_corpus(Path(file)) for file in files}


def build_retriever(specs: Sequence[RetrieverSpec], corpora: dict[str, Corpus]) -> Retriever:
    """The retriever, or the fusion of several. Raises ``MissingPackage``."""
    built = [_build(spec, corpora) for spec in specs]
    return built[0] if len(built) == 1 else Fusion(built)


def _build(spec: RetrieverSpec, corpora: dict[str, Corpus]) -> Retriever:
    match spec.kind:
        case "bm25":
            return Bm25(spec.name, corpora[spec.file])
        case "http":
            return HttpRetriever(spec.name, spec.url)
        case "embeddings":
            return Embeddings(spec.name, corpora[spec.file], Path(spec.file).parent, spec.url)
