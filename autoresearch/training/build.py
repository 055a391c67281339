"""Build the model of a trial from its spec: device, network, optimizer and ranks."""

from __future__ import annotations

import importlib
from typing import Any

from autoresearch.training.train import Model
from autoresearch.training.trainer import Trainer, set_up_device
from autoresearch.trials.estimate import unsupported
from autoresearch.trials.model_shape import ModelShape
from autoresearch.trials.spec import TrialSpec
from autoresearch.trials.trainers import TRAINERS


def build_model(spec: TrialSpec, vocab: int) -> Model:
    """The model of the spec's trainer. Raises ``ValueError`` for what that trainer cannot do."""
    if why := unsupported(spec.trainer, spec.cfg, spec.data_parallel, spec.tensor_parallel):
        raise ValueError(why)
    device, shape = set_up_device(spec), ModelShape.of(spec.cfg, vocab)
    network, ranks = import_function(TRAINERS[spec.trainer].build_network)(spec, shape, device)
    return Trainer(spec, network, device, ranks)


def import_function(path: str) -> Any:
    """The function that "module:function" names."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
