"""``data=images``: any folder of images."""

import io
import logging
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torchvision.datasets.folder import IMG_EXTENSIONS

from pixelcnn.damaged_images import DAMAGED, PNG_START, is_cut_short
from pixelcnn.data.base import ImageArrays, ImageDataModule
from pixelcnn.data.folders import files_under
from pixelcnn.data.framing import AS_IT_IS, Crop, Framing, Size
from pixelcnn.data.sixteen_bits import sixteen_bits
from pixelcnn.errors import UserError, require
from pixelcnn.image_shape import MOST_LEVELS

log = logging.getLogger(__name__)

# Pillow's modes that need no conversion, and their number of channels.
CHANNELS = {"1": 1, "L": 1, "RGB": 3, "P": 3}
# Modes that can be converted to 8-bit grey or RGB on request, at a loss.
CONVERTIBLE = (*CHANNELS, "LA", "PA", "RGBA", "CMYK", "YCbCr")
# Files that Pillow opens as images but that hold something else, or more than an image.
NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "PDF"}
# Endings of images that not every build of Pillow knows.
FURTHER_ENDINGS = {".avif", ".heic", ".heif", ".jxl", ".svg", ".svgz"}
# Pillow's names for 16-bit samples in a file, whose mode may have 8 bits; BGR;16 has 5 or 6 bits per sample.
SIXTEEN_BITS = re.compile(r";16[BLN]")


class Images(ImageDataModule):
    """The images under ``root``/train and ``root``/test, in class sub-folders or not."""

    def __init__(
        self, root: str | None, channels: int | None = None, size: Size = None, crop: Crop = None, **loading: Any
    ) -> None:
        """``channels`` 1 or 3 converts every image to grey or RGB; None: no conversion, all images must be alike.

        ``crop`` and ``size`` are those of `Framing`, after which all images must have one size.
        """
        super().__init__(**loading)
        if root is None:
            raise UserError("data.root is not set: give data.root=DIR, a folder with train/ and test/.")
        require_channels(channels)
        self.root = Path(root)
        self.channels = channels
        self.framing = Framing(size, crop)

    def where(self) -> str:
        """The folders."""
        return " and ".join(str(self._folder(split)) for split in ("train", "test"))

    def load(self, split: str) -> ImageArrays:
        """The images of ``root``/``split`` ordered by path; class k is the k-th sub-folder of train by name."""
        folder = self._folder(split)
        found = {name: _found(self.root / name) for name in ("train", "test") if os.path.isdir(self.root / name)}
        twice = min(found["train"].keys() & found["test"].keys(), default=None) if len(found) == 2 else None
        if twice is not None:
            raise UserError(
                f"{found['test'][twice]} is the same file as {found['train'][twice]}: remove one of them; "
                "no image can be in both train and test."
            )
        of_classes = "train" if "train" in found else split
        classes = _classes(self.root / of_classes, found[of_classes])
        return read_images(folder, _image_files(folder, found[split]), self.channels, classes, self.framing)

    def _folder(self, split: str) -> Path:
        folder = self.root / split
        if not os.path.isdir(folder):
            raise UserError(f"data.root={self.root} has no folder {split}: put its images in {folder}.")
        return folder


def require_channels(channels: int | None) -> None:
    """Raise OutOfRangeError unless images can be converted to ``channels``, None for no conversion."""
    require(channels in (None, 1, 3), "data.channels", channels, "use 1 (grey), 3 (RGB) or null (as the files are)")


def read_images(
    folder: Path, files: list[Path], channels: int | None, classes: list[str], framing: Framing = AS_IT_IS
) -> ImageArrays:
    """Read the ``files`` of ``folder``; labels are the places of their sub-folders in ``classes``, if there are any.

    Raises UserError naming a file that is damaged, differs from the first one in size, channels or depth, or cannot be
    read as 8-bit or 16-bit grey or RGB without loss (with ``channels``, lossy conversion to 8 bits is allowed).
    """
    first = read_pixels(files[0], channels, framing, MOST_LEVELS)
    images = np.empty((len(files), *first.shape), first.dtype)
    for place, file in enumerate(files):
        pixels = read_pixels(file, channels, framing, MOST_LEVELS)
        if pixels.dtype != first.dtype:
            own, others = (8 * each.dtype.itemsize for each in (pixels, first))
            raise UserError(f"{file} has {own} bits per channel where {files[0]} has {others}: save all images alike.")
        if pixels.shape != first.shape:
            raise unlike(pixels.shape, first.shape, file, files[0])
        images[place] = pixels
    labels = _labels(folder, files, classes)
    levels = 256 if images.dtype == np.uint8 else MOST_LEVELS
    return ImageArrays(images, levels, labels=labels, class_names=None if labels is None else tuple(classes))


def images_in(folder: Path) -> tuple[list[Path], list[str]]:
    """The image files in ``folder``, sorted, and its classes, the names of their sub-folders; UserError as `Images`."""
    found = _found(folder)
    return _image_files(folder, found), _classes(folder, found)


def _labels(folder: Path, files: list[Path], classes: list[str]) -> np.ndarray | None:
    names = [file.relative_to(folder).parts[0] for file in files]
    if files[0].parent == folder:
        return None
    number = {name: place for place, name in enumerate(classes)}
    for name in names:
        if name not in number:
            raise UserError(f"{folder / name} is a class that the training images do not have: move or rename it.")
    return np.array([number[name] for name in names], np.int64)


def _found(folder: Path) -> dict[str, Path]:
    """Every image file of ``folder``, including formats that are not supported, by its real path."""
    endings = {*IMG_EXTENSIONS, *_endings_not_read()}
    found, left_out = files_under(folder, lambda name: Path(name).suffix.lower() in endings)
    if left_out:
        rank_zero_only(log.warning)(
            "%s has %d links to files that it also contains: each image counts once.", folder, left_out
        )
    return {real: Path(path) for real, path in found.items()}


def _classes(folder: Path, found: dict[str, Path]) -> list[str]:
    """The names of the sub-folders of ``folder`` that hold images, in their order."""
    return sorted({path.relative_to(folder).parts[0] for path in found.values() if path.parent != folder})


def _image_files(folder: Path, found: dict[str, Path]) -> list[Path]:
    """The files ``found`` in ``folder``, sorted; UserError if there are none, for a format that is not supported, and
    if only some have a class."""
    files = sorted(found.values())
    unread = [path for path in files if path.suffix.lower() not in IMG_EXTENSIONS]
    if unread:
        raise UserError(f"{unread[0]} is not a supported format: convert it to PNG or remove it.")
    if not files:
        raise UserError(f"{folder} holds no images: put files there that end in {', '.join(IMG_EXTENSIONS)}.")
    loose = [path for path in files if path.parent == folder]
    if loose and len(loose) < len(files):
        raise UserError(f"{loose[0]} is next to class sub-folders: put all images into sub-folders, or none.")
    return files


def _endings_not_read() -> set[str]:
    known = {ending for ending, kind in Image.registered_extensions().items() if kind not in NO_PICTURES}
    return (known | FURTHER_ENDINGS) - set(IMG_EXTENSIONS)


def unlike(shape: tuple[int, ...], of_first: tuple[int, ...], file: Path, first: Path) -> UserError:
    """The error for a ``file`` whose ``shape`` (C, H, W) differs from that of the ``first`` one of its folder."""
    remedy = "convert their colours with data.channels=1 or 3"
    if shape[0] == of_first[0]:
        remedy = "crop or resize them with data.crop=square data.size=32, or other sizes"
    they = f"{file} is {described(shape)} where {first} is {described(of_first)}"
    return UserError(f"{they}: make all images alike, or {remedy}.")


def read_pixels(file: Path, channels: int | None, framing: Framing = AS_IT_IS, levels: int = 256) -> np.ndarray:
    """The image in ``file`` (C, H, W), uint8, or uint16 if it has 16 bits and ``levels`` is above 256."""
    # Opening a pipe would wait forever; Path.is_file() raises if a name is too long.
    if not os.path.isfile(file):
        fault = "is not a file" if os.path.exists(file) else "does not exist"
        raise UserError(f"{file} {fault}: give the path of an image, or remove it from its folder.")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}): replace or remove it.") from error
    return decode(content, file, channels, framing, levels)


def decode(
    content: bytes, file: Path, channels: int | None, framing: Framing = AS_IT_IS, levels: int = 256
) -> np.ndarray:
    """`read_pixels` of the ``content`` of ``file``, rotated as its Exif data says."""
    if content.startswith(PNG_START) and is_cut_short(content):
        raise UserError(f"{file} is cut short: {remedy(file)}.")
    try:
        with Image.open(io.BytesIO(content)) as image:
            frames = getattr(image, "n_frames", 1)
            bits = "16-bit " if _has_sixteen_bits(image) else ""
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
    except UnidentifiedImageError as error:
        raise UserError(f"{file} cannot be read as an image (unknown format): {remedy(file)}.") from error
    except DAMAGED as error:
        raise UserError(f"{file} cannot be read as an image ({error}): {remedy(file)}.") from error
    if frames > 1:
        raise UserError(f"{file} holds {frames} frames instead of one image: {remedy(file)}.")
    if levels > 256 and (bits or image.mode.startswith("I;16")):
        return sixteen_bits(image, content, file, channels, framing)
    return pixels_of(image, file, channels, framing, bits)


def pixels_of(
    image: Image.Image, file: Path, channels: int | None, framing: Framing = AS_IT_IS, bits: str = ""
) -> np.ndarray:
    """The pixels of ``image``, loaded from ``file``, uint8 (C, H, W); UserError as `read_images`.

    ``bits`` describes its samples' depth if that is unusual.
    """
    if bits or image.mode not in CONVERTIBLE:
        raise UserError(f"{file} holds {bits}{image.mode} pixels, which are not 8-bit: save it as 8-bit grey or RGB.")
    if channels is None and image.mode not in CHANNELS:
        raise UserError(
            f"{file} holds {image.mode} pixels: save it as RGB or grey, or convert with data.channels=1 or 3."
        )
    if channels is None and image.has_transparency_data:
        raise UserError(
            f"{file} holds transparent {image.mode} pixels: save it without transparency, "
            "or convert with data.channels=1 or 3."
        )
    wanted = channels or CHANNELS[image.mode]
    mode = "L" if wanted == 1 else "RGB"
    pixels = np.asarray(framing(image if image.mode == mode else image.convert(mode)))
    return pixels.reshape(*pixels.shape[:2], wanted).transpose(2, 0, 1)


def remedy(file: Path) -> str:
    """What to do about a damaged ``file``, which may be in an archive."""
    return "download the archive again" if file.parent.is_file() else "replace or remove it"


def _has_sixteen_bits(image: Image.Image) -> bool:
    """Whether a sample of a file that is open, not yet loaded, has 16 bits."""
    tiles = getattr(image, "tile", [])
    netpbm = any(tile.codec_name.startswith("ppm") and tile.args[1] > 255 for tile in tiles)
    return netpbm or any(SIXTEEN_BITS.search(str(tile.args)) for tile in tiles)


def described(shape: tuple[int, ...]) -> str:
    """The size and colours of an image of ``shape`` (C, H, W), as text."""
    channels, height, width = shape
    return f"{height}x{width} {'grey' if channels == 1 else 'RGB'}"
