"""Freed memory stays with the process, which is asked for its pages from outside of Python."""

import platform
import subprocess
import sys

import pytest

# Prints how many pages of 100 MB are still resident when they have been freed.
PROGRAM = """
import sys
from pathlib import Path

import torch

from pixelcnn.training.memory import keep_freed_memory


def resident():
    return int(Path("/proc/self/statm").read_text().split()[1])


if sys.argv[1] == "kept":
    keep_freed_memory()
before = resident()
tensor = torch.ones(25_000_000)
del tensor
print(resident() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
@pytest.mark.parametrize("kept", [True, False])
def test_freed_memory_is_kept(kept):
    command = [sys.executable, "-c", PROGRAM, "kept" if kept else "given back"]
    pages = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (pages * 4096 > 90e6) is kept
