"""``data=codes``: maps of integers without an order, such as the codes of a VQ-VAE, in .npz files."""

import os
from pathlib import Path

from pixelcnn.data.arrays import Arrays, read_arrays, stated_levels
from pixelcnn.data.image_arrays import ImageArrays


class Codes(Arrays):
    """Two .npz files like those of `Arrays`, ``train`` and ``test``, with ``codes`` instead of ``images``.

    ``codes`` are integers of any type, (N, H, W) or (N, C, H, W), 0 .. levels-1; in memory they are uint8, or uint16
    above 256 levels. Without ``levels``, in a file or as an argument, it is the largest code of both files plus one,
    which is too small if the last code of the codebook does not occur.
    """

    def load(self, split: str) -> ImageArrays:
        """Read and check one file; raises UserError naming its key, the file and the array."""
        file = self._file(split)
        levels = self.levels if self.levels is not None else self._levels_of_both()
        return read_arrays(file, f"data.{split}={file}", levels, codes=True)

    def _levels_of_both(self) -> int:
        """The number stated in a file, or the largest code of both plus one."""
        there = {f"data.{split}={file}": file for split, file in self.files.items() if file and os.path.isfile(file)}
        read = [read_arrays(Path(file), where, codes=True) for where, file in there.items()]
        stated = [stated_levels(Path(file), where) for where, file in there.items()]
        return next((levels for levels in stated if levels is not None), max(arrays.levels for arrays in read))
