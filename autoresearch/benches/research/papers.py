"""Papers, and when two of them are the same one: ids are compared first, titles only where ids cannot decide."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

_NEW = r"\d{4}\.\d{4,5}"  # since April 2007
_OLD = r"[a-z-]+(?:\.[a-z-]+)?/\d{7}"  # before, for example hep-th/9901001
_VERSION = r"(?:v\d+)?"
_ARXIV_ID = re.compile(rf"({_NEW}|{_OLD}){_VERSION}(?:\s*\[[^\[\]]*\])?", re.IGNORECASE)
_PREFIX = re.compile(r"(?:(?:doi:)?\s*10\.48550/)?arxiv[:.]\s*", re.IGNORECASE)
# arxiv.org/abs/ID, /pdf/IDvN.pdf, a mirror, ar5iv, alphaxiv, doi.org/10.48550/arXiv.ID, Hugging Face papers
_URL = re.compile(
    r"(?:https?://)?(?:[\w-]+\.)*"
    r"(?:(?:arxiv|alphaxiv|ar5iv)\.(?:org|labs\.arxiv\.org)/(?:abs|pdf|html|format|e-print|overview|src|ps)/"
    r"|huggingface\.co/papers/"
    r"|doi\.org/10\.48550/arxiv\.)"
    r"(?P<id>[^?#]+?)(?:\.pdf)?/?(?:[?#].*)?",
    re.IGNORECASE | re.DOTALL,
)

_LEADING_ID = re.compile(rf"^\s*\[(?:arxiv:)?\s*(?:{_NEW}|{_OLD}){_VERSION}\]\s*", re.IGNORECASE)
_TRAILING_SITE = re.compile(r"\s+[-|\u2013\u2014]\s*arxiv(?:\.org)?\s*$", re.IGNORECASE)
_ELLIPSIS = re.compile(r"\s*(?:\.\.\.|\u2026)\s*$")
MIN_CUT_CHARS = 20  # of a title that a search engine cut: fewer match too much


def normalise_id(raw: str) -> str:
    """The id of a paper without version, prefix and URL: ``arXiv:2204.05525v2`` becomes ``2204.05525``.

    An id that does not have a form of arXiv's keeps its text, without the spaces around it. Old ids lose their subject
    class, as arXiv itself treats them: ``math.GT/0309136`` becomes ``math/0309136``.
    """
    text = raw.strip()
    url = _URL.fullmatch(text)
    core = unquote(url["id"]) if url else text
    core = _PREFIX.sub("", core, count=1) if _PREFIX.match(core) else core
    match = _ARXIV_ID.fullmatch(core.strip())
    if match is None:
        return text
    archive, slash, number = match[1].lower().partition("/")
    return f"{archive.partition('.')[0]}/{number}" if slash else archive


def is_arxiv_id(normalised: str) -> bool:
    """Whether ``normalise_id`` returned an id of arXiv's."""
    return _ARXIV_ID.fullmatch(normalised) is not None


@dataclass(frozen=True, slots=True)
class Title:
    """The words of a title in lower case, without accents and punctuation; ``is_cut``: it ended in an ellipsis."""

    words: str
    is_cut: bool


def normalise_title(raw: str) -> Title:
    """Normalise a title; a leading ``[arXiv id]`` and a trailing ``- arXiv`` of search results are removed."""
    text = _TRAILING_SITE.sub("", _LEADING_ID.sub("", " ".join(raw.split())))
    is_cut = _ELLIPSIS.search(text) is not None
    decomposed = unicodedata.normalize("NFKD", _ELLIPSIS.sub("", text)).casefold()
    kept = (c if c.isalnum() or unicodedata.category(c) == "Sm" else " " for c in decomposed if not _is_accent(c))
    return Title(" ".join("".join(kept).split()), is_cut)


def _is_accent(character: str) -> bool:
    return unicodedata.combining(character) != 0


def same_title(a: str, b: str) -> bool:
    """Whether two titles name one paper; one that was cut matches the beginning of the other."""
    first, second = normalise_title(a), normalise_title(b)
    if not first.words or not second.words:
        return False
    if first.words == second.words:
        return True
    cuts = ((first, second), (second, first))
    return any(
        cut.is_cut and len(cut.words) >= MIN_CUT_CHARS and whole.words.startswith(cut.words) for cut, whole in cuts
    )


@dataclass(frozen=True, slots=True)
class Paper:
    """What is known of a paper; an empty ``id`` or ``title`` is unknown. ``id`` is normalised."""

    id: str = ""
    title: str = ""

    @property
    def key(self) -> str:
        """Equal for equal papers in one list: the id, or the words of the title where there is no id."""
        return self.id or f"title:{normalise_title(self.title).words}"


def same_paper(a: Paper, b: Paper) -> bool:
    """Two ids of one kind decide; ids of two kinds (arXiv's, a corpus's own), or a missing one, leave it to the titles.

    So a paper with the right title and another arXiv id is another paper.
    """
    if a.id and b.id:
        if a.id == b.id:
            return True
        if is_arxiv_id(a.id) == is_arxiv_id(b.id):
            return False
    return same_title(a.title, b.title)


def find_paper(wanted: Paper, papers: Sequence[Paper]) -> int | None:
    """The place of ``wanted`` among ``papers``: the one with its id before one with its title."""
    by_id = next((i for i, paper in enumerate(papers) if wanted.id and paper.id == wanted.id), None)
    if by_id is not None:
        return by_id
    return next((i for i, paper in enumerate(papers) if same_paper(paper, wanted)), None)
