"""A script of the shape of karpathy/autoresearch's, made for the tests: it trains nothing, and its result is known."""

import math
import os
import random

from beside import NOISE  # a module beside the script

# Model
ASPECT_RATIO = 64  # width over depth
HEAD_DIM = 128  # width of a head
WINDOW_PATTERN = "SSSL"  # windows by layer
# Optimization
TOTAL_BATCH_SIZE = 2**19  # ~524K tokens of a step
EMBEDDING_LR = 0.6
UNEMBEDDING_LR = 0.004
MATRIX_LR = 0.04  # the one that matters here
SCALAR_LR = 0.5
WEIGHT_DECAY = 0.2
ADAM_BETAS = (0.8, 0.95)
WARMUP_RATIO = 0.0
WARMDOWN_RATIO = 0.5
FINAL_LR_FRAC = 0.0
DEPTH = 8
DEVICE_BATCH_SIZE = 128

assert os.path.exists(os.path.join(os.path.dirname(__file__), "beside.py"))
assert isinstance(ADAM_BETAS, tuple)
for percent in (0.0, 50.0, 100.0):
    print(f"\rstep {int(percent):05d} ({percent:.1f}%) | loss: 3.100000", end="", flush=True)
print()
val_bpb = 1 + 0.02 * math.log(MATRIX_LR / 0.08) ** 2 + random.gauss(0, NOISE)
print("---")
print(f"val_bpb:          {val_bpb:.6f}")
print("training_seconds: 300.1")
print("peak_vram_mb:     45060.2")
print("total_tokens_M:   499.6")
