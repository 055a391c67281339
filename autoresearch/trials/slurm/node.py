"""The handshake with a node: whether what it measures can be compared with the other nodes' measurements."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from autoresearch.data.corpus import Corpus
from autoresearch.errors import CorpusError
from autoresearch.trials.slurm.job_folder import Expected

NODE = "SLURMD_NODENAME"
GPU_VARIABLES = ("SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES")


def node_name(environ: Mapping[str, str]) -> str:
    """The node's name in Slurm."""
    return environ.get(NODE, "an unnamed node")


def mark_of_node(checked: Path, environ: Mapping[str, str]) -> Path:
    """The file that says that the node, with the GPUs of this job, was compared: a node may have GPUs of two kinds."""
    parts = [environ.get(name, "") for name in (NODE, *GPU_VARIABLES)]
    return checked / sha256("\n".join(parts).encode()).hexdigest()[:32]


def corpus_difference(expected: Expected) -> str:
    """In what the corpus, as this node reads it, differs from that of the run, or an empty string. Reads all of it."""
    try:
        found = Corpus.open(Path(expected.corpus), verify=True)
    except CorpusError as e:
        return e.what
    if found.sha256 != expected.corpus_sha256:
        return f"corpus {expected.corpus} has sha256 {found.sha256}, not {expected.corpus_sha256}"
    return ""
