"""The shipped corpus and its questions, whose figures its README names."""

from __future__ import annotations

from pathlib import Path

from autoresearch.benches.research.cases import gold_papers, load_cases
from autoresearch.benches.research.evidence import probe
from autoresearch.benches.research.metrics import recall_at_k, reciprocal_rank
from autoresearch.benches.research.retrievers.bm25 import Bm25
from autoresearch.benches.research.retrievers.corpus import load_corpus

EXAMPLE = Path(__file__).resolve().parents[4] / "evidence/2026-11-26-research-example"


def test_bm25_on_the_example_has_the_figures_of_its_readme() -> None:
    cases = load_cases(EXAMPLE / "cases.jsonl").cases
    retriever = Bm25("bm25", load_corpus(EXAMPLE / "corpus.jsonl"))
    with_paper = [case for case in cases if gold_papers(case)]
    probes = [probe(retriever, case.payload["question"], gold_papers(case)) for case in with_paper]
    ranks = [found["ranks"] for found in probes]
    indexed = [known for found in probes for known in found["indexed"]]
    assert (len(retriever.search("a", 0)), len(cases), len(with_paper)) == (0, 19, 18)

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    recalls = [f"recall@{k} {mean([recall_at_k(r, k) for r in ranks]):.3f}" for k in (1, 5, 10)]
    mrr = f"MRR@50 {mean([reciprocal_rank(r) for r in ranks]):.3f}"
    figures = [*recalls, mrr, f"{mean(indexed):.3f} of the papers"]
    readme = " ".join((EXAMPLE / "README.md").read_text().split())
    assert [figure for figure in figures if figure not in readme] == []
    first = sum(r == [1] for case, r in zip(with_paper, ranks, strict=True) if case.family == "deep")
    assert f"Accuracy@1 {first} / 13" in readme
