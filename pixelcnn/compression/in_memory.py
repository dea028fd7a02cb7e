"""`compress` and `decompress` for tensors in memory."""

from collections.abc import Callable
from io import BytesIO

import torch
from torch import Tensor

from pixelcnn.compression.archive import Compression, Decompression
from pixelcnn.conditioning import Condition
from pixelcnn.image_shape import tensor_type
from pixelcnn.model import PixelModel


def compress(
    model: PixelModel,
    images: Tensor,
    condition: Condition = None,
    *,
    batch_size: int = 64,
    verify: bool = True,
    store_condition: bool = True,
    on_pixel: Callable[[], object] = lambda: None,
) -> bytes:
    """Compress ``images`` (N, C, H, W) to within 0.1 % of -log2 p(images | condition), a header of at most 150
    bytes and four bytes per image.

    ``condition``: labels (N,), features or images, as in `PixelModel.log_prob`. It is stored in the archive unless
    ``store_condition`` is false; then pass it to `decompress` again. ``verify`` decodes the archive before it is
    returned, and stores an image uncompressed if it does not decode to the same pixels. Images are coded
    ``batch_size`` at a time. ``on_pixel`` is called for each pixel of a batch, for a progress bar.

    Raises UserError for a likelihood without a density, for images and conditions that do not fit the model, and if the
    package constriction is not installed.
    """
    file = BytesIO()
    height, width = images.shape[-2:]
    archive = Compression(file, model, len(images), height, width, batch_size, verify, store_condition, on_pixel)
    archive.add(images, condition)
    return file.getvalue()


def decompress(
    model: PixelModel,
    archive: bytes,
    condition: Condition = None,
    *,
    force: bool = False,
    on_pixel: Callable[[], object] = lambda: None,
) -> Tensor:
    """Decompress ``archive`` with the model that wrote it: (N, C, H, W) on the CPU, uint8, or int32 above 256 levels.

    Decoding needs the same rounding as encoding: UserError if the torch version, device type, number of threads or
    dtype of the weights differ; ``force`` tries anyway. UserError also if the archive is damaged, truncated or of
    another model, or an image does not match its checksum. Pass ``condition`` (N, …) if the archive does not store it.
    """
    frames = Decompression(BytesIO(archive), model, "archive", condition, force, on_pixel)
    empty = torch.empty(
        0, frames.header.channels, frames.header.height, frames.header.width, dtype=tensor_type(frames.header.levels)
    )
    return torch.cat([empty, *(images for images, _ in frames)])
