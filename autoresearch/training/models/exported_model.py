"""The model that an exported script describes, built by Megatron-core on the meta device: names and shapes only."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from autoresearch.errors import missing_extra
from autoresearch.machine import limit_named_in

Weights = dict[str, tuple[int, ...]]


def parameter_shapes(arguments: Mapping[str, Any]) -> Weights:
    """Name and shape of every parameter of the GPTModel that ``arguments`` describe, on one rank.

    ``arguments`` are fields of ``TransformerConfig`` with GPTModel's own ``vocab_size``, ``seq_length``,
    ``position_embedding_type`` and ``share_embeddings_and_output_weights``. Allocates no weights. If this process
    has joined Megatron's process groups already, these must be of one rank. Raises ``MissingPackage`` without
    megatron-core, and Megatron's own exception for arguments that it refuses.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings that Apex and Transformer Engine are optional
            import torch
            import torch.nn.functional as F
            from megatron.core import parallel_state
            from megatron.core.models.gpt import GPTModel
            from megatron.core.transformer.transformer_config import TransformerConfig
    except ImportError as e:
        if limit_named_in(e):  # a library of an installed package could not be opened
            raise
        raise missing_extra("building the model of the script", f"megatron-core ({e})", "megatron") from e
    from autoresearch.training.models.gpt_megatron import block_spec
    from autoresearch.training.parallel.ranks import join_megatron

    if not parallel_state.model_parallel_is_initialized():  # each set of process groups keeps a dozen sockets open
        join_megatron(1, 1, 0, torch.device("cpu"))
    rest = dict(arguments)
    own = {name: rest.pop(name) for name in ("position_embedding_type", "share_embeddings_and_output_weights")}
    vocab, seq_len = rest.pop("vocab_size"), rest.pop("seq_length")
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        config = TransformerConfig(
            **rest, activation_func=F.gelu, perform_initialization=False, use_cpu_initialization=True
        )
        spec = block_spec(config.num_layers, with_transformer_engine=False)
        model = GPTModel(config, spec, vocab_size=vocab, max_sequence_length=seq_len, parallel_output=True, **own)
    return {name: tuple(weight.shape) for name, weight in model.named_parameters()}
