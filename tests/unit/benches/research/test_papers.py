"""When two papers are the same one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch.benches.research.papers import Paper, normalise_id, normalise_title, same_paper, same_title


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("2204.05525", "2204.05525"),
        (" 2204.05525v2\n", "2204.05525"),
        ("arXiv:2204.05525", "2204.05525"),
        ("ARXIV: 2204.05525v12", "2204.05525"),
        ("arxiv.2204.05525", "2204.05525"),
        ("arXiv:2204.05525 [cs.CV]", "2204.05525"),
        ("arXiv:2204.05525v1 [cs.CV]", "2204.05525"),
        ("0704.0001", "0704.0001"),
        ("https://arxiv.org/abs/2204.05525", "2204.05525"),
        ("http://www.arxiv.org/abs/2204.05525v3", "2204.05525"),
        ("https://arxiv.org/pdf/2204.05525v1.pdf", "2204.05525"),
        ("https://arxiv.org/pdf/2204.05525", "2204.05525"),
        ("arxiv.org/abs/2204.05525", "2204.05525"),
        ("https://export.arxiv.org/abs/2204.05525?context=cs", "2204.05525"),
        ("https://arxiv.org/html/2204.05525v1#S3", "2204.05525"),
        ("https://ar5iv.labs.arxiv.org/html/2204.05525", "2204.05525"),
        ("https://www.alphaxiv.org/abs/2204.05525v2", "2204.05525"),
        ("https://huggingface.co/papers/2204.05525", "2204.05525"),
        ("https://doi.org/10.48550/arXiv.2204.05525", "2204.05525"),
        ("10.48550/arXiv.2204.05525", "2204.05525"),
        ("doi:10.48550/arxiv.2204.05525", "2204.05525"),
        ("hep-th/9901001v2", "hep-th/9901001"),
        ("https://arxiv.org/abs/hep-th/9901001", "hep-th/9901001"),
        ("https://arxiv.org/abs/hep-th%2F9901001", "hep-th/9901001"),
        ("math.GT/0309136", "math/0309136"),
        ("doc-17v2", "doc-17v2"),
        ("notes 2204.05525", "notes 2204.05525"),
        ("https://example.org/abs/2204.05525", "https://example.org/abs/2204.05525"),
        ("2204.055251", "2204.055251"),
        ("", ""),
    ],
)
def test_an_id_loses_its_version_its_prefix_and_its_url(raw: str, expected: str) -> None:
    assert normalise_id(raw) == expected


@given(st.text(max_size=40))
def test_normalising_an_id_twice_changes_nothing(raw: str) -> None:
    assert normalise_id(normalise_id(raw)) == normalise_id(raw)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Focus on Local: Detecting Lanes", "focus on local detecting lanes"),
        ("Poincar\u00e9 Embeddings", "Poincare embeddings"),
        ("[2204.05525] TopFormer: Token Pyramids", "TopFormer: Token Pyramids"),
        ("[2204.05525v2] TopFormer: Token Pyramids", "TopFormer - Token Pyramids"),
        ("EF-3DGS: Event-Aided Splatting - arXiv", "EF-3DGS: Event-Aided Splatting"),
        (
            "AE-NeRF: Augmenting Event-Based Neural Radiance ...",
            "AE-NeRF: Augmenting Event-Based Neural Radiance Fields",
        ),
        (
            "AE-NeRF: Augmenting Event-Based Neural Radiance\u2026",
            "AE-NeRF: Augmenting Event-Based Neural Radiance Fields",
        ),
        ("\u6df1\u5c42 \u5b66\u4e60", "\u6df1\u5c42 \u5b66\u4e60"),
    ],
)
def test_titles_that_are_the_same(a: str, b: str) -> None:
    assert same_title(a, b)
    assert same_title(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("", ""),
        ("...", "Anything"),
        ("?!", "?!"),
        ("Attention ...", "Attention Is All You Need"),  # too short to be cut
        ("Attention is all you need", "Attention is all you need again"),  # not cut
        ("Deep Learning", "Deep Learner"),
    ],
)
def test_titles_that_are_not(a: str, b: str) -> None:
    assert not same_title(a, b)


def test_ids_decide_before_titles() -> None:
    a, b = Paper("2204.05525", "One title"), Paper("2204.05525", "Another title")
    assert same_paper(a, b)
    assert not same_paper(Paper("2204.05525", "One title"), Paper("2204.05526", "One title"))
    assert not same_paper(Paper("doc-1", "One title"), Paper("doc-2", "One title"))


def test_a_title_decides_where_ids_cannot() -> None:
    assert same_paper(Paper("2204.05525", "One title"), Paper("", "One Title!"))
    assert same_paper(Paper("2204.05525", "One title"), Paper("https://openreview.net/forum?id=x", "One title"))
    assert not same_paper(Paper("2204.05525"), Paper("", "One title"))


def test_the_key_of_a_paper_without_an_id_is_its_title() -> None:
    assert Paper("2204.05525", "x").key == "2204.05525"
    assert Paper("", "One  Title").key == Paper("", "one title").key == "title:one title"


@given(st.text(max_size=60))
def test_a_title_is_the_same_as_itself_if_it_has_a_word(title: str) -> None:
    assert same_title(title, title) == bool(normalise_title(title).words)
