"""A synthetic data set: diagonal stripes with noise."""

import numpy as np

from pixelcnn.data.base import ImageArrays, ImageDataModule


class Stripes(ImageDataModule):
    """Grey images of ``side`` x ``side`` pixels with 8 levels; the label is the direction of the stripes."""

    def __init__(self, side: int = 8, num_images: int = 256, **loading) -> None:
        super().__init__(**loading)
        if side < 4:
            raise ValueError(f"side={side} is out of range: use 4 pixels or more")
        self.side, self.num_images = side, num_images

    def load(self, split: str) -> ImageArrays:
        rng = np.random.default_rng(len(split))
        labels = rng.integers(0, 2, self.num_images)
        rows, columns = np.indices((self.side, self.side))
        slope = np.where(labels, 1, -1)[:, None, None]
        phase = rng.integers(0, 8, self.num_images)[:, None, None]
        stripes = (rows + slope * columns + phase) % 8
        noisy = np.clip(stripes + rng.integers(-1, 2, stripes.shape), 0, 7).astype(np.uint8)
        return ImageArrays(noisy[:, None], levels=8, labels=labels)
