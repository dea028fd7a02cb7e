"""The bits of codecs are those of files that come back without loss."""

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pixelcnn import UserError
from pixelcnn.ood import codec_bits
from pixelcnn.ood.codecs import CODECS

OF_IMAGECODECS = ("jpeg2000", "jpegxl")


def images_of(channels: int, seed: int = 0, levels: int = 256) -> torch.Tensor:
    """Smooth and noisy images, (4, C, 12, 8)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(0, levels, (4, channels, 12, 8), generator=generator)
    noise[0] = levels - 1
    noise[1] = torch.arange(8) * (levels - 1) // 7
    return noise.to(torch.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", CODECS)
def test_a_file_comes_back_without_loss_and_its_length_counts(name, channels):
    if name in OF_IMAGECODECS:
        pytest.importorskip("imagecodecs")
    images = images_of(channels)
    lengths = []
    for image in images:
        pixels = image[0].numpy() if channels == 1 else np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        file = CODECS[name](pixels)
        lengths.append(8.0 * len(file))
        decoded = decode(name, file)
        np.testing.assert_array_equal(decoded[..., 0] if decoded.ndim > pixels.ndim else decoded, pixels)
    assert codec_bits(images, [name]).tolist() == lengths
    assert lengths[0] < lengths[3]  # flat, noise


def decode(name: str, file: bytes) -> np.ndarray:
    if name == "jpegxl":  # Pillow cannot
        import imagecodecs

        return imagecodecs.jpegxl_decode(file)
    return np.asarray(Image.open(io.BytesIO(file)))


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), channels=st.sampled_from([1, 3]), levels=st.sampled_from([2, 17, 256]))
def test_the_shortest_codec_counts(seed, channels, levels):
    images = images_of(channels, seed, levels)
    each = torch.stack([codec_bits(images, [name]) for name in ("png", "webp")])
    assert torch.equal(codec_bits(images, ["webp", "png"]), each.amin(dim=0))


@pytest.mark.parametrize(
    ("codecs", "told"), [(["gif"], "codecs=gif does not exist: .*png, webp"), ([], r"codecs=\[\]")]
)
def test_other_codecs_are_refused(codecs, told):
    with pytest.raises(UserError, match=told):
        codec_bits(images_of(1), codecs)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "imagecodecs", None)
    with pytest.raises(UserError, match=r"^codecs=jpegxl needs imagecodecs.*requirements-codecs.txt"):
        codec_bits(images_of(1), ["png", "jpegxl"])
