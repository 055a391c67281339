"""A training loop as the origin's evaluator is described: bf16 parameters without an fp32 copy, plain eager layers, a
mask tensor in the attention, and the loss read back in every step. The trainers are compared with it on a GPU.

``python -m benchmarks.origin_loop CORPUS CFG_JSON DEVICE THREADS WARMUP_STEPS STEPS`` prints tokens per second.
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


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, hidden, bias=False), nn.Linear(hidden, width, bias=False)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        b, t, c = x.shape
        q, k, v = (y.view(b, t, self.heads, -1).transpose(1, 2) for y in self.qkv(self.ln_1(x)).split(c, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.ln_2(x))))


class LanguageModel(nn.Module):
    def __init__(self, vocab: int, cfg: dict) -> None:
        super().__init__()
        width, length = cfg["d_model"], cfg["seq_len"]
        self.wte, self.wpe = nn.Embedding(vocab, width), nn.Embedding(length, width)
        self.h = nn.ModuleList(Layer(width, cfg["n_head"], cfg["d_ff"]) for _ in range(cfg["n_layer"]))
        self.ln_f = nn.LayerNorm(width)
        self.register_buffer("mask", torch.tril(torch.ones(length, length, dtype=torch.bool)))
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        x = self.wte(ids) + self.wpe(torch.arange(ids.size(1), device=ids.device))
        for block in self.h:
            x = block(x, self.mask)
        logits = F.linear(self.ln_f(x), self.wte.weight)
        return F.cross_entropy(logits.float().view(-1, logits.size(-1)), targets.reshape(-1))


def main() -> None:
    corpus, cfg, device = Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
    threads, warm, steps = (int(a) for a in sys.argv[4:])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    manifest = json.loads((corpus / "manifest.json").read_text())
    data = np.memmap(corpus / "train.bin", dtype=manifest["dtype"], mode="r")
    model = LanguageModel(manifest["tokenizer"]["vocab"], cfg).to(device, torch.bfloat16)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=cfg["lr"], betas=(cfg["beta1"], cfg["beta2"]), weight_decay=cfg["weight_decay"]
    )
    began = 0.0
    for step in range(warm + steps):
        if step == warm:
            began = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = cfg["lr"] * 0.5 * (1 + math.cos(math.pi * step / (warm + steps)))
        at = np.random.randint(len(data) - cfg["seq_len"] - 1, size=cfg["batch_size"])
        crops = np.stack([data[i : i + cfg["seq_len"] + 1] for i in at]).astype(np.int64)
        ids = torch.from_numpy(crops).to(device)
        optimizer.zero_grad()
        loss = model(ids[:, :-1], ids[:, 1:])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), cfg["grad_clip"])
        optimizer.step()
        loss.item()
    print(steps * cfg["batch_size"] * cfg["seq_len"] / (time.perf_counter() - began))


if __name__ == "__main__":
    main()
