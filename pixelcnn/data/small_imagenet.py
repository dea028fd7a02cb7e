"""``data=small_imagenet``: ImageNet downsampled to 32x32 or 64x64 by van den Oord et al. 2016, in PNG folders."""

from pathlib import Path

from pixelcnn.data.base import ImageArrays, ImageDataModule
from pixelcnn.data.images import read_images
from pixelcnn.errors import UserError
from pixelcnn.options import require


class SmallImageNet(ImageDataModule):
    """1,281,149 training and 49,999 validation images, the latter the test set; without labels."""

    def __init__(self, root: str, resolution: int, **loading: int) -> None:
        """``root`` holds the unpacked folders, train_32x32 and valid_32x32 for ``resolution`` 32, 64 likewise."""
        super().__init__(**loading)
        require(resolution in (32, 64), "data.resolution", resolution, "the data set exists in 32 and 64")
        self.root = Path(root)
        self.resolution = resolution

    def load(self, split: str) -> ImageArrays:
        """All images of the official training ("train") or validation set ("test")."""
        size = f"{self.resolution}x{self.resolution}"
        folder = self.root / {"train": f"train_{size}", "test": f"valid_{size}"}[split]
        if not folder.is_dir():
            raise UserError(
                f"Small ImageNet is not in {folder}: log in at https://image-net.org (which needs an account), get "
                f"train_{size}.tar and valid_{size}.tar from its page of downsampled images, and unpack both in "
                f"data.root={self.root}."
            )
        return read_images(folder, channels=3)
