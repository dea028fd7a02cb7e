"""``data=digits``: scikit-learn's embedded handwritten digits, 8x8 pixels and 17 grey levels."""

import numpy as np
from sklearn.datasets import load_digits

from pixelcnn.data.base import ImageArrays, ImageDataModule


class Digits(ImageDataModule):
    """1,797 digits with their labels; every sixth is a test image (299), the others are training images (1,498)."""

    def where(self) -> str:
        """In a package that is installed."""
        return "in scikit-learn"

    def load(self, split: str) -> ImageArrays:
        """The images number 5, 11, 17, … of scikit-learn's set ("test"), or all others; numbers are from 0."""
        digits = load_digits()
        sixth = np.arange(len(digits.target)) % 6 == 5
        chosen = sixth if split == "test" else ~sixth
        images = digits.images[chosen].astype(np.uint8)
        return ImageArrays(images[:, np.newaxis], levels=17, labels=digits.target[chosen].astype(np.int64))
