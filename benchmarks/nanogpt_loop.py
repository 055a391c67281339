"""A training loop as people write it after nanoGPT: the reference that trainer ``torch`` must not be slower than.

Written here for the comparison; the same shape, batch, precision and optimizer settings as the trial that it is
compared with. ``python -m benchmarks.nanogpt_loop CORPUS CFG_JSON THREADS WARMUP_STEPS STEPS`` prints tokens per
second.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
from torch.nn import functional as F


class SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.width = heads, width
        self.c_attn = nn.Linear(width, 3 * width, bias=False)
        self.c_proj = nn.Linear(width, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, c = x.size()
        q, k, v = self.c_attn(x).split(self.width, dim=2)
        q, k, v = (y.view(b, t, self.heads, c // self.heads).transpose(1, 2) for y in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).contiguous().view(b, t, c))


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = SelfAttention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, hidden, bias=False), nn.GELU(), nn.Linear(hidden, width, bias=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class LanguageModel(nn.Module):
    def __init__(self, vocab: int, cfg: dict) -> None:
        super().__init__()
        width = cfg["d_model"]
        self.wte, self.wpe = nn.Embedding(vocab, width), nn.Embedding(cfg["seq_len"], width)
        self.h = nn.ModuleList(Layer(width, cfg["n_head"], cfg["d_ff"]) for _ in range(cfg["n_layer"]))
        self.ln_f = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocab, bias=False)
        self.head.weight = self.wte.weight
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x = self.wte(ids) + self.wpe(torch.arange(ids.size(1)))
        for block in self.h:
            x = block(x)
        logits = self.head(self.ln_f(x))
        return F.cross_entropy(logits.view(-1, logits.size(-1)), targets.reshape(-1))


def get_batch(data: np.ndarray, batch: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    at = torch.randint(len(data) - length, (batch,))
    x = torch.stack([torch.from_numpy(data[i : i + length].astype(np.int64)) for i in at])
    y = torch.stack([torch.from_numpy(data[i + 1 : i + 1 + length].astype(np.int64)) for i in at])
    return x, y


def main() -> None:
    corpus, cfg = Path(sys.argv[1]), json.loads(sys.argv[2])
    threads, warm, steps = (int(a) for a in sys.argv[3:])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    manifest = json.loads((corpus / "manifest.json").read_text())
    data = np.memmap(corpus / "train.bin", dtype=manifest["dtype"], mode="r")
    model = LanguageModel(manifest["tokenizer"]["vocab"], cfg)
    decay = [p for p in model.parameters() if p.dim() >= 2]
    rest = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": decay, "weight_decay": cfg["weight_decay"]}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=cfg["lr"], betas=(cfg["beta1"], cfg["beta2"]))
    began = 0.0
    for step in range(warm + steps):
        if step == warm:
            began = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = cfg["lr"] * 0.5 * (1 + math.cos(math.pi * step / (warm + steps)))
        loss = model(*get_batch(data, cfg["batch_size"], cfg["seq_len"]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), cfg["grad_clip"])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 10 == 0:
            loss.item()
    print(steps * cfg["batch_size"] * cfg["seq_len"] / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
