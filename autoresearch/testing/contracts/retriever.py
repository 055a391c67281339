"""The ``Retriever`` port of suite research: whatever the query, a list of papers, each once, the same each time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from autoresearch.benches.research.papers import Paper
from autoresearch.benches.research.retrievers.port import Document, Retriever

QUERIES = ("token pyramid", "", " \n", "!?", "the of and", "\u7b54\u6848 \u0663", "x" * 2000, "\x00", "lane " * 300)
KNOWN = (
    Document("2204.00001", "On token pyramids", "A pyramid of tokens."),
    Document("2204.00002", "On lane lines", "Lane lines by key points."),
    Document("d3", "On lane curves", "Curves of a lane."),
    Document("d4", "On owls", "Owls at night."),
)


class RetrieverContract:
    """For every implementation of ``autoresearch.benches.research.retrievers.port.Retriever``."""

    @pytest.fixture
    def retriever(self) -> Retriever:
        """A retriever over the documents ``KNOWN``."""
        raise NotImplementedError

    def test_it_has_a_name(self, retriever: Retriever) -> None:
        assert retriever.name

    def test_it_finds_what_it_has(self, retriever: Retriever) -> None:
        assert retriever.search("token pyramid", 4)[0].id == "2204.00001"
        assert {document.id for document in retriever.search("lane", 2)} == {"2204.00002", "d3"}

    @pytest.mark.parametrize("query", QUERIES)
    def test_whatever_the_query_it_returns_known_papers_each_once(self, retriever: Retriever, query: str) -> None:
        for top_k in (0, 1, 3, 50):
            found = retriever.search(query, top_k)
            assert len(found) <= top_k
            keys = [document.paper.key for document in found]
            assert len(set(keys)) == len(keys)
            assert set(keys) <= {document.paper.key for document in KNOWN}

    def test_equal_queries_have_equal_results_and_fewer_are_the_first_of_more(self, retriever: Retriever) -> None:
        more = retriever.search("lane pyramid", 4)
        assert retriever.search("lane pyramid", 4) == more
        assert retriever.search("lane pyramid", 2) == more[:2]

    def test_several_threads_may_use_it(self, retriever: Retriever) -> None:
        expected = retriever.search("lane", 4)
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda _: retriever.search("lane", 4), range(8))) == [expected] * 8

    def test_it_never_denies_what_it_has(self, retriever: Retriever) -> None:
        assert all(retriever.has(document.paper) in (True, None) for document in KNOWN)
        assert retriever.has(Paper("2204.99999", "Unheard of")) in (False, None)
