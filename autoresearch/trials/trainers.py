"""The table of trainers: all that the code needs to know of one without importing it.

A new trainer is a new entry, a module with the two functions that the entry names, and the value of setting
``trainer`` (config/settings.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType

MODELS = "autoresearch.training.models"


@dataclass(frozen=True, slots=True)
class TrainerSpec:
    """One trainer. Functions are named as "module:function", because only the trial's process may import torch."""

    precisions: tuple[str, ...]  # that it can train in, on some device
    build_network: str  # (TrialSpec, ModelShape, torch.device) -> (Network, Ranks)
    package_versions: str  # () -> versions of its packages beside torch, for the yardstick
    preload: tuple[str, ...]  # modules that the trial server imports once, before it forks trials
    process_bytes: int  # of a trial's process on the CPU without its tensors, as measured
    packages: tuple[str, ...]  # modules that must be installed
    distributions: tuple[tuple[str, str], ...]  # what pip calls the packages that it runs, and their module
    extras: str  # of autoresearch, for pip: what a run with this trainer needs
    structural: bool = False  # whether it can build other values of the structural knobs than the origin's
    splits_over_ranks: bool = False
    not_compiled_because: str = ""  # why its layers are not compiled; empty where they may be
    import_needs_driver_with: tuple[str, ...] = ()  # installed together, its import initialises CUDA

    @property
    def network_module(self) -> str:
        """The module of ``build_network``, which imports the packages of the trainer."""
        return self.build_network.partition(":")[0]

    def modules_to_preload(self, find: Callable[[str], object] = find_spec) -> tuple[str, ...]:
        """What the trial server may import so that its forks can still use CUDA; a trial imports the rest itself."""
        needs_driver = self.import_needs_driver_with and all(find(name) for name in self.import_needs_driver_with)
        return tuple(name for name in self.preload if not (needs_driver and name == self.network_module))


TRAINERS: Mapping[str, TrainerSpec] = MappingProxyType(
    {
        "torch": TrainerSpec(
            precisions=("fp32", "bf16"),
            build_network=f"{MODELS}.gpt_torch:build_network",
            package_versions=f"{MODELS}.gpt_torch:package_versions",
            preload=(f"{MODELS}.gpt_torch",),
            process_bytes=340 << 20,
            packages=("torch",),
            distributions=(("torch", "torch"),),
            extras="run",
            structural=True,
        ),
        "megatron": TrainerSpec(
            precisions=("fp32", "bf16", "fp8"),
            build_network=f"{MODELS}.gpt_megatron:build_network",
            package_versions=f"{MODELS}.gpt_megatron:package_versions",
            preload=(f"{MODELS}.gpt_torch", f"{MODELS}.gpt_megatron"),
            process_bytes=420 << 20,
            packages=("torch", "megatron.core"),
            distributions=(
                ("torch", "torch"),
                ("megatron-core", "megatron.core"),
                ("transformer-engine", "transformer_engine"),
            ),
            extras="run,megatron",
            splits_over_ranks=True,
            not_compiled_because="Megatron's layers break the graph so often that they become slower",
            # Beside flash-attn, Transformer Engine (imported by Megatron) asks the driver which chip there is while it
            # is imported. Each trial then imports Megatron itself, which takes some seconds.
            import_needs_driver_with=("transformer_engine", "flash_attn"),
        ),
    }
)
