"""Build the model of a trial from its spec: device, network, optimizer and ranks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from autoresearch.trials.estimate import unsupported
from autoresearch.trials.model_shape import ModelShape
from autoresearch.trials.spec import TrialSpec

if TYPE_CHECKING:
    from autoresearch.training.train import Model


def make_model(spec: TrialSpec, vocab: int) -> Model:
    """The model of the trainer that the spec names. Raises ``ValueError`` for what that trainer cannot do."""
    from autoresearch.training.trainer import Trainer, set_up_device

    if why := unsupported(spec.trainer, spec.cfg, spec.data_parallel, spec.tensor_parallel):
        raise ValueError(why)
    device, shape = set_up_device(spec), ModelShape.of(spec.cfg, vocab)
    if spec.trainer == "torch":
        from autoresearch.training.models.gpt_torch import GPT

        return Trainer(spec, GPT.drawn(shape, spec.seed, device), device)
    from autoresearch.training.models.gpt_megatron import MegatronGPT
    from autoresearch.training.parallel.ranks import join_megatron

    ranks = join_megatron(spec.data_parallel, spec.tensor_parallel, spec.seed, device)
    network = MegatronGPT(shape, str(spec.cfg["precision"]), device, ranks, spec.fp8_recipe).initialise(spec.seed)
    return Trainer(spec, network, device, ranks)
