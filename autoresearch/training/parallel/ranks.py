"""The processes that train one model together: data-parallel and tensor-parallel ranks, one of each by default."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from autoresearch.training.parallel.processes import STORE


@dataclass(frozen=True, slots=True)
class Ranks:
    """The numbers of data and tensor ranks, and which of them this process is. A world of one does not communicate."""

    data: int = 1
    tensor: int = 1
    data_rank: int = 0
    tensor_rank: int = 0
    data_group: Any = None
    tensor_group: Any = None
    hosts: Any = None  # a gloo group of all ranks, which communicates without waiting for a device

    @property
    def index(self) -> int:
        """This rank's number among all ranks."""
        return self.data_rank * self.tensor + self.tensor_rank

    @property
    def world(self) -> int:
        return self.data * self.tensor

    def share(self, batch: NDArray[np.int64]) -> NDArray[np.int64]:
        """This data rank's sequences of a batch."""
        return batch[self.data_rank :: self.data]

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the data ranks."""
        if self.data > 1:
            pending = [dist.all_reduce(t, group=self.data_group, async_op=True) for t in tensors]
            for work in pending:
                work.wait()
            torch._foreach_div_(list(tensors), self.data)

    def norm(self, gradients: Sequence[Tensor], split: Sequence[bool]) -> Tensor:
        """The global L2 norm. Gradients that are ``split`` over tensor ranks are summed over those ranks."""
        norms = torch._foreach_norm(list(gradients))
        if self.tensor == 1:
            # torch.nn.utils.get_total_norm computes the same bits and takes half as long again: it groups by device.
            return torch.linalg.vector_norm(torch.stack(norms))  # type: ignore[no-any-return]
        split_squares = torch.stack([n for n, is_split in zip(norms, split, strict=True) if is_split]).square().sum()
        shared_squares = (
            torch.stack([n for n, is_split in zip(norms, split, strict=True) if not is_split]).square().sum()
        )
        dist.all_reduce(split_squares, group=self.tensor_group)
        return (split_squares + shared_squares).sqrt()

    def sum_over_ranks(self, values: Sequence[float]) -> list[float]:
        """Sums over the data ranks, in float64."""
        if self.data == 1:
            return list(values)
        device = torch.cuda.current_device() if dist.get_backend() == "nccl" else "cpu"
        sums = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(sums, group=self.data_group)
        return sums.tolist()

    def any_rank(self, flag: bool) -> bool:
        """Whether ``flag`` is true on any rank. Every rank must call it, and gets the same result."""
        if self.world == 1:
            return flag
        flags = torch.tensor([flag], dtype=torch.int32)
        dist.all_reduce(flags, dist.ReduceOp.MAX, group=self.hosts)
        return bool(flags.item())


def join_megatron(data: int, tensor: int, seed: int, device: torch.device) -> Ranks:
    """Set up torch.distributed and Megatron's process groups for this process, one of ``data * tensor``.

    A world of one needs no port: its store is in memory. Otherwise the rank is read from torchrun's environment.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from megatron.core import parallel_state, tensor_parallel

    _init_process_group(data * tensor, device)
    if not parallel_state.model_parallel_is_initialized():  # a process has one set of groups for all its trials
        parallel_state.initialize_model_parallel(tensor_model_parallel_size=tensor, create_gloo_process_groups=False)
    if device.type == "cuda":
        tensor_parallel.model_parallel_cuda_manual_seed(seed)
    return Ranks(
        data=data,
        tensor=tensor,
        data_rank=parallel_state.get_data_parallel_rank(),
        tensor_rank=parallel_state.get_tensor_model_parallel_rank(),
        data_group=parallel_state.get_data_parallel_group(),
        tensor_group=parallel_state.get_tensor_model_parallel_group(),
        hosts=dist.new_group(backend="gloo") if data * tensor > 1 and device.type == "cuda" else None,
    )


def _init_process_group(world: int, device: torch.device) -> None:
    backend = "nccl" if device.type == "cuda" else "gloo"
    if dist.is_initialized():
        return
    if world == 1:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    elif path := os.environ.get(STORE):
        store = dist.FileStore(path, world)  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=int(os.environ["RANK"]), world_size=world)
    else:
        dist.init_process_group(backend)  # under torchrun
    if dist.get_world_size() != world:
        raise ValueError(f"torchrun started {dist.get_world_size()} ranks, the settings ask for {world}")
