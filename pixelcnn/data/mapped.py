"""Memory-mapped arrays: opened instantly at any size, one copy in memory for all processes."""

from pathlib import Path
from typing import Any

import numpy as np


class MappedArray(np.memmap):
    """A whole .npy file, mapped read-only. Sent to another process it is the file's name, not its content."""

    def __reduce__(self) -> Any:
        # numpy makes the base of a part the array that it is a part of.
        whole = type(self.base) is np.memmap
        return (mapped, (self.filename,)) if whole else np.array(self).__reduce__()


def mapped(file: str | Path) -> MappedArray:
    """The array in ``file``; OSError or ValueError where it is absent or shorter than it says."""
    return np.lib.format.open_memmap(file, mode="r").view(MappedArray)
