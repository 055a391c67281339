"""GPT pretraining by NeMo's own recipe, one configuration a call: NeMo 2.x, `nemo.collections.llm`.

    python pretrain.py --data DIR --max_steps 200 --num_layers 12 --hidden_size 768 --max_lr 6e-4
    python pretrain.py --data DIR --device cpu --max_steps 5 ...       # tries the same path without a GPU
    python pretrain.py --show --num_layers 12                          # prints the recipe and trains nothing

DIR is what `autoresearch export dataset CORPUS --out DIR` writes. The last line is the metric of the validation split.
"""

import argparse
import contextlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("nemo_toolkit", "megatron-core", "nemo_run", "lightning", "torch")
FLOATS = {"max_lr": 6e-4, "weight_decay": 0.1, "adam_beta1": 0.9, "adam_beta2": 0.95, "clip_grad": 1.0, "dropout": 0.0}
INTS = {"num_layers": 12, "hidden_size": 768, "ffn_hidden_size": 3072, "num_attention_heads": 12, "seq_length": 1024}
INTS |= {"micro_batch_size": 8, "global_batch_size": 32, "warmup_steps": 20, "max_steps": 200, "val_batches": 20}
INTS |= {"devices": 1, "seed": 0}

SPLITS = {"train": "train", "validation": "val", "test": "val"}  # the test split is not exported, and not used


def parse(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {**FLOATS, **INTS}.items():
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--data", type=Path, help="directory of train and val, .bin and .idx, and dataset.json")
    parser.add_argument("--out", type=Path, default=Path("out"), help="directory for NeMo's logs")
    parser.add_argument("--device", choices=["gpu", "cpu"], default="gpu")
    parser.add_argument("--versions", action="store_true", help="print the versions of the packages")
    parser.add_argument("--show", action="store_true", help="print the recipe and train nothing")
    return parser.parse_args(words)


def build_recipe(args: argparse.Namespace) -> Any:
    """NeMo's GPT-3 recipe at the size of ``args``: a `run.Partial` of `llm.pretrain`."""
    import nemo_run as run
    from nemo.collections import llm
    from nemo.collections.common.tokenizers.null_tokenizer import NullTokenizer
    from nemo.collections.llm.recipes import gpt3_175b

    vocab = json.loads((args.data / "dataset.json").read_text())["vocab"] if args.data else 50257
    tokenizer = run.Config(NullTokenizer, vocab_size=vocab - 1)  # it adds the end of document as the last id
    batch = {"micro_batch_size": args.micro_batch_size, "global_batch_size": args.global_batch_size}

    recipe = gpt3_175b.pretrain_recipe(dir=str(args.out), name="trial", num_nodes=1, num_gpus_per_node=args.devices)
    recipe.model.config = run.Config(
        llm.GPTConfig,
        num_layers=args.num_layers,
        hidden_size=args.hidden_size,
        ffn_hidden_size=args.ffn_hidden_size,
        num_attention_heads=args.num_attention_heads,
        seq_length=args.seq_length,
        hidden_dropout=args.dropout,
        attention_dropout=args.dropout,
    )
    if args.data:
        recipe.data = run.Config(
            llm.PreTrainingDataModule,
            paths={split: [str(args.data / name)] for split, name in SPLITS.items()},
            split=None,
            seq_length=args.seq_length,
            tokenizer=tokenizer,
            seed=args.seed,
            num_workers=0,
            index_mapping_dir=str(args.out / "indices"),
            **batch,
        )
    else:
        recipe.data.seq_length, recipe.data.tokenizer = args.seq_length, tokenizer
        recipe.data.micro_batch_size, recipe.data.global_batch_size = batch.values()
    strategy = recipe.trainer.strategy
    strategy.tensor_model_parallel_size = strategy.pipeline_model_parallel_size = 1
    strategy.virtual_pipeline_model_parallel_size, strategy.sequence_parallel = None, False
    recipe.trainer.max_steps = recipe.trainer.val_check_interval = args.max_steps
    recipe.trainer.limit_val_batches, recipe.trainer.limit_test_batches = args.val_batches, 0
    recipe.trainer.num_sanity_val_steps, recipe.trainer.enable_checkpointing = 0, False
    recipe.log.ckpt = recipe.log.tensorboard = recipe.resume = None
    optim = recipe.optim.config
    optim.lr, optim.weight_decay, optim.clip_grad = args.max_lr, args.weight_decay, args.clip_grad
    optim.adam_beta1, optim.adam_beta2 = args.adam_beta1, args.adam_beta2
    recipe.optim.lr_scheduler.warmup_steps = args.warmup_steps
    recipe.optim.lr_scheduler.min_lr = args.max_lr / 10
    if args.device == "cpu":
        use_cpu(recipe)
    return recipe


def use_cpu(recipe: Any) -> None:
    """Without GPU kernels, mixed precision and overlap: to see that a configuration builds and its loss falls."""
    import nemo_run as run
    import torch
    from nemo.lightning import MegatronMixedPrecision

    config = recipe.model.config
    config.use_cpu_initialization = True
    config.masked_softmax_fusion = config.cross_entropy_loss_fusion = config.gradient_accumulation_fusion = False
    recipe.trainer.accelerator = "cpu"
    recipe.trainer.plugins = run.Config(MegatronMixedPrecision, precision="32")
    strategy = recipe.trainer.strategy
    strategy.pipeline_dtype, strategy.process_group_backend, strategy.ckpt_async_save = torch.float32, "gloo", False
    strategy.ddp.overlap_grad_reduce = strategy.ddp.overlap_param_gather = strategy.ddp.average_in_collective = False
    recipe.optim.config.bf16 = recipe.optim.config.use_distributed_optimizer = False
    recipe.data.pin_memory = False


def without_cuda() -> contextlib.AbstractContextManager[Any]:
    """A context that turns every request for a CUDA device into one for the CPU: NeMo 2.7.3 names CUDA in its code."""
    import torch
    from megatron.core.tensor_parallel import random
    from torch.overrides import TorchFunctionMode

    random.CudaRNGStatesTracker.fork = lambda *_args: contextlib.nullcontext()  # the CPU has one random state
    torch.cuda.current_device = lambda: torch.device("cpu")
    torch.cuda.Stream = torch.cuda.stream = contextlib.nullcontext
    torch.cuda.synchronize = torch.cuda.empty_cache = lambda *_args, **_kwargs: None

    class OnCpu(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func is torch.Tensor.cuda:
                return args[0]
            args = tuple("cpu" if isinstance(arg, str) and arg.startswith("cuda") else arg for arg in args)
            kwargs = {name: value for name, value in (kwargs or {}).items() if name != "pin_memory"}
            if str(kwargs.get("device", "")).startswith("cuda"):
                kwargs["device"] = "cpu"
            if func is torch.Tensor.type and len(args) == 1:  # Megatron asserts it of each gradient that it clips
                return func(*args).replace("torch.", "torch.cuda.")
            return func(*args, **kwargs)

    return OnCpu()


def main() -> None:
    args = parse()
    if args.versions:
        print(*(f"{name} {version(name)}" for name in PACKAGES), sep="\n")
        return
    recipe = build_recipe(args)
    if args.show:
        print(recipe)
        return
    import fiddle
    import lightning.pytorch as pl

    pl.seed_everything(args.seed)
    pretrain = fiddle.build(recipe)
    with without_cuda() if args.device == "cpu" else contextlib.nullcontext():
        pretrain()
    measured = pretrain.keywords["trainer"].callback_metrics
    print(f"METRIC val_loss={float(measured['val_loss']):.6f}")


if __name__ == "__main__":
    main()
