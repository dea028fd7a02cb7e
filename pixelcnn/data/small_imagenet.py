"""``data=small_imagenet``: ImageNet downsampled to 32x32 or 64x64, in either of its two variants."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities.rank_zero import rank_zero_only

from pixelcnn.data.base import ImageArrays, ImageDataModule
from pixelcnn.data.conversion import Part, open_converted
from pixelcnn.data.imagenet_batches import batch_parts, batch_source
from pixelcnn.data.png_files import folder_name, png_parts, png_source
from pixelcnn.errors import UserError, require

VARIANTS = {"oord": "van den Oord et al. 2016", "chrabaszcz": "Chrabaszcz et al. 2017"}
PUBLISHED = {  # images, by variant and split
    ("oord", "train"): 1_281_149,
    ("oord", "test"): 49_999,
    ("chrabaszcz", "train"): 1_281_167,
    ("chrabaszcz", "test"): 50_000,
}

log = logging.getLogger(__name__)


class SmallImageNet(ImageDataModule):
    """1.28 million training images and the official validation set, which is the test set.

    Papers report bits/dim of two variants under one name, and they do not compare: van den Oord et al. downsampled
    without anti-aliasing, Chrabaszcz et al. with it, which is easier to model, and with labels.

    On first use the files of a split are converted into memory-mapped arrays; later only these are needed.
    """

    def __init__(self, root: str, variant: str, resolution: int, converted: str | None = None, **loading: Any) -> None:
        """``root`` holds the files of one variant; ``converted`` is the folder of the arrays, by default ``root``.

        "oord": train_32x32 and valid_32x32 for ``resolution`` 32, 64 likewise, each a folder of PNG files or a .tar;
        "chrabaszcz": train_data_batch_1 to _10 and val_data, each a pickle or .npz.
        """
        super().__init__(**loading)
        require(variant in VARIANTS, "data.variant", variant, f"the data set exists as {' and '.join(VARIANTS)}")
        require(resolution in (32, 64), "data.resolution", resolution, "the data set exists in 32 and 64")
        self.root = Path(root)
        self.variant = variant
        self.resolution = resolution
        self.converted = self.root if converted is None else Path(converted)

    def where(self) -> str:
        """The folder of the converted arrays, or of the files to convert."""
        if all(self._converted(split).is_dir() for split in ("train", "test")):
            return str(self._converted("train").parent)
        for split in ("train", "test"):
            png = self.variant == "oord" and png_source(self.root, split, self.resolution)
            if not (png or (self.variant == "chrabaszcz" and batch_source(self.root, split))):
                raise self._absent(split)
        return f"{self.root}, not converted yet"

    def load(self, split: str) -> ImageArrays:
        """All images of the official training ("train") or validation set ("test"), with labels if "chrabaszcz"."""
        folder = self._converted(split)
        shape = (3, self.resolution, self.resolution)
        arrays = open_converted(folder, lambda: self._parts(split), shape, labelled=self.variant == "chrabaszcz")
        self._tell(split, folder, len(arrays.images))
        return arrays

    def _converted(self, split: str) -> Path:
        return self.converted / f"small_imagenet_{self.variant}_{self.resolution}x{self.resolution}" / split

    def _parts(self, split: str) -> Sequence[Part]:
        png = {name: png_source(self.root, name, self.resolution) for name in ("train", "test")}
        batches = [file for name in ("train", "test") for file in batch_source(self.root, name)]
        found = {"oord": [file for file in png.values() if file], "chrabaszcz": batches}
        if all(found.values()):
            raise UserError(
                f"data.root={self.root} holds both variants, {found['oord'][0].name} of {VARIANTS['oord']} and "
                f"{batches[0].name} of {VARIANTS['chrabaszcz']}, whose bits/dim are not comparable: move one elsewhere."
            )
        [other] = set(VARIANTS) - {self.variant}
        if found[other]:
            raise UserError(
                f"data.root={self.root} holds {found[other][0].name} of {VARIANTS[other]}, whose bits/dim are not "
                f"comparable with those of data.variant={self.variant}: set data.variant={other} to use it."
            )
        log.info("Looking through the %s files in %s.", split, self.root)
        if self.variant == "chrabaszcz" and batches:
            return batch_parts(self.root, split, self.resolution)
        source = png[split]
        if source is None:
            raise self._absent(split)
        return png_parts(source, self.resolution)

    def _absent(self, split: str) -> UserError:
        size = f"{self.resolution}x{self.resolution}"
        if self.variant == "oord":
            missing = folder_name(split, self.resolution)
            remedy = (
                f"{missing} or {missing}.tar: get train_{size}.tar and valid_{size}.tar, which image-net.org no longer "
                "offers, from https://academictorrents.com, or use data.variant=chrabaszcz"
            )
        else:
            remedy = (
                f"{'train_data_batch_1' if split == 'train' else 'val_data'}: log in at https://image-net.org (which "
                f"needs an account), get Imagenet{self.resolution}_train and _val from its page of downsampled images, "
                "and unzip them there"
            )
        return UserError(f"data.root={self.root} has no {remedy}.")

    @rank_zero_only
    def _tell(self, split: str, folder: Path, count: int) -> None:
        which = f"Small ImageNet {self.resolution}x{self.resolution} of {VARIANTS[self.variant]}"
        log.info("%s (data.variant=%s): %s %s images in %s", which, self.variant, f"{count:,}", split, folder)
        published = PUBLISHED[self.variant, split]
        if count != published:
            told = "The published %s set has %s images: bits/dim are not comparable with published ones."
            log.warning(told, split, f"{published:,}")
