"""Families of models by their names."""

from __future__ import annotations

import pytest

from autoresearch.benches.model_family import families_of, same_family


@pytest.mark.parametrize(
    ("model", "families"),
    [
        ("meta/llama-3.1-8b-instruct", {"llama"}),
        ("meta-llama/Meta-Llama-3-8B", {"llama"}),
        ("nvidia/nvidia-nemotron-nano-9b-v2", {"nemotron"}),
        ("nvidia/llama-3.3-nemotron-super-49b-v1", {"llama", "nemotron"}),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", {"deepseek", "qwen"}),
        ("Qwen/Qwen3-8B", {"qwen"}),
        ("Qwen/Qwen2.5-Coder-7B", {"qwen"}),
        ("QwQ-32B", {"qwen"}),
        ("openai/gpt-oss-20b", {"openai"}),
        ("o3-mini-20250131", {"openai"}),
        ("gpt-4o-20240806", {"openai"}),
        ("/models/gemma-3-270m.Q4_K_M.gguf", {"google"}),
        ("mistralai/Mixtral-8x7B-v0.1", {"mistral"}),
        ("microsoft/phi-4", {"phi"}),
        ("01-ai/Yi-1.5-9B", {"yi"}),
        ("acme/yield-7b", {"yield"}),
        ("acme/zeta2-7b", {"zeta"}),
    ],
)
def test_families(model, families):
    assert families_of(model) == families


def test_the_same_family():
    assert same_family("Qwen/Qwen3-8B", "qwen2.5-72b-instruct")
    assert same_family("meta/llama-3.1-8b", "nvidia/llama-3.3-nemotron-super-49b")
    assert not same_family("meta/llama-3.1-8b", "nvidia/nvidia-nemotron-nano-9b-v2")
    assert not same_family("acme/alpha-7b", "acme/beta-7b")
    assert same_family("acme/alpha-7b", "acme/alpha-70b")
    assert same_family("", "")
