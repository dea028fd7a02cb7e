"""Where the Triton kernels (``fused.py``) can run in place of torch's operations."""

import os
import shutil
import sysconfig
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor


def has_kernels(x: Tensor) -> bool:
    """Whether Triton's kernels take x: on a GPU, if this machine compiles them, unless ``PIXELCNN_TRITON=0``."""
    return x.is_cuda and _compile()


@cache
def _compile() -> bool:
    if os.environ.get("PIXELCNN_TRITON") == "0":
        return False
    # torch brings Triton on Linux alone; it builds what launches a kernel in C, with Python's headers.
    compilers = (os.environ.get("CC") or "gcc", "clang")
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return find_spec("triton") is not None and any(map(shutil.which, compilers)) and headers.exists()
