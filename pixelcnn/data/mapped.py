"""Memory-mapped arrays: opened instantly at any size, one copy in memory for all processes."""

from pathlib import Path
from typing import Any

import numpy as np


class MappedArray(np.memmap):
    """A whole .npy file, mapped read-only. Pickling it sends the file's name, not its content."""

    def __reduce__(self) -> Any:
        # numpy keeps the whole array as the base of a part.
        whole = type(self.base) is np.memmap
        return (mapped, (self.filename,)) if whole else np.array(self).__reduce__()


def mapped(file: str | Path) -> MappedArray:
    """The array in ``file``; OSError or ValueError if it is missing or shorter than its header says."""
    return np.lib.format.open_memmap(file, mode="r").view(MappedArray)
