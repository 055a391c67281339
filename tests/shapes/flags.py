"""A script of the shape of nanoGPT's train.py, made for the tests: flags by name, each of its constant's type."""

import math
import random
import sys
from ast import literal_eval
from contextlib import suppress

out_dir = "out"
eval_interval = 250
always_save_checkpoint = True
learning_rate = 1e-3
max_iters = 100
n_layer = 6
n_embd = 384
dropout = 0.2
beta2 = 0.99
for word in sys.argv[1:]:
    name, value = word.removeprefix("--").split("=")
    with suppress(ValueError, SyntaxError):
        value = literal_eval(value)
    assert type(value) is type(globals()[name]), word
    globals()[name] = value
for i in range(0, max_iters + 1, eval_interval):
    loss = 1.5 + 0.05 * math.log(learning_rate / 3e-3) ** 2 + (1 - i / max_iters) + random.gauss(0, 0.0005)
    print(f"step {i}: train loss {loss - 0.1:.4f}, val loss {loss:.4f}")
    print(f"iter {i}: loss {loss:.4f}, time 0.10ms, mfu -100.00%")
