"""The same GPT built from Megatron-core's parts: ``GPTModel`` on one rank or split over several.

With a CUDA device and Transformer Engine it is built from the layers of Transformer Engine, which alone can compute in
fp8; otherwise, and in fp32, from Megatron's own ("local") ones. Torch's attention replaces both of theirs: Megatron's
needs CUDA and materialises the whole matrix of scores, and so does Transformer Engine's where its fused one is not
deterministic (GB10).
"""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from functools import cache
from importlib.metadata import version
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from autoresearch.training.models.gpt_torch import GPT, INIT_STD
from autoresearch.training.models.network import Network
from autoresearch.training.models.weight_mapping import split_names, to_megatron
from autoresearch.training.parallel.ranks import Ranks, join_megatron
from autoresearch.trials.model_shape import ModelShape
from autoresearch.trials.spec import TrialSpec

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # warnings that Apex and Transformer Engine are optional; jit; its own deprecations
    from megatron.core.models.gpt import GPTModel
    from megatron.core.models.gpt.gpt_layer_specs import (
        get_gpt_layer_local_spec,
        get_gpt_layer_with_transformer_engine_spec,
    )
    from megatron.core.tensor_parallel import vocab_parallel_cross_entropy
    from megatron.core.transformer.module import MegatronModule
    from megatron.core.transformer.torch_norm import WrappedTorchNorm
    from megatron.core.transformer.transformer_block import TransformerBlockSubmodules
    from megatron.core.transformer.transformer_config import TransformerConfig

    try:
        from megatron.core.extensions.transformer_engine import TENorm
    except ImportError:
        TENorm = None


@cache
def has_transformer_engine() -> bool:
    """Whether Transformer Engine can be imported; it needs CUDA."""
    return transformer_engine_version() is not None


@cache
def transformer_engine_version() -> str | None:
    """The version that is imported: the package is installed under several names. ``None`` if it cannot be."""
    try:
        import transformer_engine.pytorch
    except (ImportError, OSError, RuntimeError):
        return None
    return str(transformer_engine.__version__)


class SDPA(MegatronModule):  # type: ignore[misc]
    """Megatron's core attention by ``F.scaled_dot_product_attention``: causal, no dropout, no mask tensor."""

    def __init__(self, config: TransformerConfig, **_: Any) -> None:
        super().__init__(config=config)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: None, **_: Any) -> Tensor:
        """``(seq, batch, head, head_dim)`` each, to ``(seq, batch, d_model)``."""
        q, k, v = (x.permute(1, 2, 0, 3) for x in (query, key, value))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return y.permute(2, 0, 1, 3).flatten(2)


def transformer_config(
    shape: ModelShape, *, precision: str, on_cuda: bool, tensor_parallel: int, fp8_recipe: str
) -> Any:
    """Megatron's ``TransformerConfig`` of the origin's GPT."""
    fp8 = {"fp8": "hybrid", "fp8_recipe": fp8_recipe} if precision == "fp8" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return TransformerConfig(
            num_layers=shape.n_layer,
            hidden_size=shape.d_model,
            num_attention_heads=shape.n_head,
            ffn_hidden_size=shape.d_ff,
            add_bias_linear=False,
            normalization="LayerNorm",
            activation_func=F.gelu,
            hidden_dropout=0.0,  # Megatron's default is 0.1
            attention_dropout=0.0,
            init_method_std=INIT_STD,
            perform_initialization=False,  # every weight comes from the plain GPT's
            use_cpu_initialization=not on_cuda,
            bf16=precision != "fp32",
            tensor_model_parallel_size=tensor_parallel,
            deterministic_mode=True,
            # Otherwise Transformer Engine keeps using the fp8 weights of the first forward pass: only Megatron's own
            # schedules notify it of a new batch, and so of new weights.
            disable_parameter_transpose_cache=True,
            **fp8,
        )


def block_spec(n_layer: int, *, with_transformer_engine: bool) -> TransformerBlockSubmodules:
    """Transformer Engine's layers or Megatron's own, both with torch's attention, which is deterministic everywhere.

    Megatron's own get torch's LayerNorm: by default they take any that is installed, even Transformer Engine's, which
    runs on CUDA only.
    """
    make = get_gpt_layer_with_transformer_engine_spec if with_transformer_engine else get_gpt_layer_local_spec
    layer = make()
    layer.submodules.self_attention.submodules.core_attention = SDPA
    if with_transformer_engine:
        return TransformerBlockSubmodules([layer] * n_layer, layer_norm=TENorm)
    layer.submodules.input_layernorm = layer.submodules.pre_mlp_layernorm = WrappedTorchNorm
    return TransformerBlockSubmodules([layer] * n_layer, layer_norm=WrappedTorchNorm)


class MegatronGPT(Network):
    """This rank's shard of Megatron-core's GPTModel, behind the trainer's interface."""

    def __init__(self, shape: ModelShape, precision: str, device: torch.device, ranks: Ranks, fp8_recipe: str) -> None:
        """Requires ``join_megatron`` to have been called: Megatron reads its shard from its process groups."""
        super().__init__()
        self.shape = shape
        self.ranks = ranks
        on_cuda = device.type == "cuda"
        self.config = transformer_config(
            shape, precision=precision, on_cuda=on_cuda, tensor_parallel=ranks.tensor, fp8_recipe=fp8_recipe
        )
        with warnings.catch_warnings(), device if on_cuda else nullcontext():
            warnings.simplefilter("ignore")
            self.gpt = GPTModel(
                self.config,
                # In fp32 Transformer Engine multiplies in TF32.
                block_spec(
                    shape.n_layer,
                    with_transformer_engine=on_cuda and precision != "fp32" and has_transformer_engine(),
                ),
                vocab_size=-(-shape.vocab // ranks.tensor) * ranks.tensor,
                max_sequence_length=shape.seq_len,
                position_embedding_type="learned_absolute",
                share_embeddings_and_output_weights=True,
                parallel_output=True,
            )

    def initialise(self, seed: int) -> MegatronGPT:
        """Copy the plain GPT's weights of ``seed``, so that both trainers start from the same model."""
        plain = GPT.drawn(self.shape, seed, self.embedding.device)
        to_megatron(plain, self.gpt, self.ranks.tensor_rank, self.ranks.tensor)
        return self

    def hidden(self, ids: Tensor, last: int | None = None) -> Tensor:
        positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        states = self.gpt.embedding(input_ids=ids, position_ids=positions)  # (seq, batch, d_model), Megatron's order
        states = self.gpt.decoder(hidden_states=states, attention_mask=None)
        return (states if last is None else states[-last:]).transpose(0, 1)  # type: ignore[no-any-return]

    @property
    def embedding(self) -> Tensor:
        """This rank's rows of the embedding."""
        return self.gpt.embedding.word_embeddings.weight  # type: ignore[no-any-return]

    @property
    def layers(self) -> nn.ModuleList:
        return self.gpt.decoder.layers  # type: ignore[no-any-return]

    def split_weights(self) -> list[bool]:
        with torch.device("meta"):
            names = [name for name, _ in GPT(self.shape).named_parameters()]
        split = split_names(names, self.gpt) if self.ranks.tensor > 1 else set()
        return [name in split for name, _ in self.gpt.named_parameters()]

    def mean_nats(self, ids: Tensor) -> Tensor:
        if self.ranks.tensor == 1:
            return super().mean_nats(ids)
        return self._split_nats(self.hidden(ids[:, :-1]), ids[:, 1:]).mean()

    @torch.no_grad()
    def token_nats(self, inputs: Tensor, targets: Tensor) -> Tensor:
        if self.ranks.tensor == 1:
            return super().token_nats(inputs, targets)
        return self._split_nats(self.hidden(inputs, last=targets.shape[1]), targets.clamp_min(0))

    def _split_nats(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Megatron's cross-entropy over a split vocabulary, without the rows that only pad it."""
        logits, _ = self.gpt.output_layer(hidden, weight=self.embedding)
        rows = logits.shape[-1]
        own = max(0, min(rows, self.shape.vocab - self.ranks.tensor_rank * rows))
        logits = logits.float()
        if own < rows:
            logits = logits.masked_fill(torch.arange(rows, device=logits.device) >= own, -torch.inf)
        return vocab_parallel_cross_entropy(logits, targets)  # type: ignore[no-any-return]


def build_network(spec: TrialSpec, shape: ModelShape, device: torch.device) -> tuple[Network, Ranks]:
    """See ``trainers.TrainerSpec``: joins the process groups of the spec's ranks."""
    ranks = join_megatron(spec.data_parallel, spec.tensor_parallel, spec.seed, device)
    network = MegatronGPT(shape, str(spec.cfg["precision"]), device, ranks, spec.fp8_recipe).initialise(spec.seed)
    return network, ranks


def package_versions() -> dict[str, str]:
    """See ``trainers.TrainerSpec``."""
    versions = {"megatron-core": version("megatron-core")}
    if found := transformer_engine_version():
        versions["transformer-engine"] = found
    return versions
