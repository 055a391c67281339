"""What a pause.flag can be: each of these requests a pause."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

SHAPES: dict[str, Callable[[Path], object]] = {
    "file": Path.touch,
    "file with content": lambda flag: flag.write_text("back at eight"),
    "directory": Path.mkdir,
    "symlink": lambda flag: flag.symlink_to(flag.parent),
    "dangling symlink": lambda flag: flag.symlink_to("nowhere"),
    "fifo": os.mkfifo,
}
