"""Any model that has a density compresses any images, as its masses say, and gives them back."""

import math
from io import BytesIO

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import pixelcnn
from pixelcnn.compression import Compression
from pixelcnn.compression.coding import FEW, STRETCH, Coding, Decoder
from pixelcnn.errors import UserError
from tests.conftest import random_images, tiny_model
from tests.drawn import SCORED, cases, descriptions, given_to, model_of, seeds

HEADER, CHECKSUM = 200, 4  # bytes: at most, and of each image
DTYPES = [torch.float32, torch.float64]


def bits(model, images, condition=None):
    """-log2 of the mass of all images."""
    with torch.no_grad():
        parameters = model.pixel_parameters(images, condition).double()
        return -float(model.likelihood.log_mass(parameters, images).sum()) / math.log(2)


@cases(25)
@given(descriptions(SCORED, side=6), seeds, st.sampled_from(DTYPES), st.integers(1, 6), st.integers(1, 5))
def test_images_come_back(description, seed, dtype, batch_size, n):
    model = model_of(description, seed, dtype)
    images, condition = given_to(model, n, seed)
    archive = pixelcnn.compress(model, images, condition, batch_size=batch_size)
    assert torch.equal(pixelcnn.decompress(model, archive), images)
    apart = pixelcnn.compress(model, images, condition, batch_size=batch_size, store_condition=False)
    assert torch.equal(pixelcnn.decompress(model, apart, condition), images)
    assert len(apart) <= len(archive) <= len(apart) + n * (4 + 8 * model.conditioning.features * images[0, 0].numel())


@cases(12)
@given(descriptions(SCORED, side=4), seeds, st.integers(1, 4))
def test_a_file_is_as_long_as_the_model_says(description, seed, batch_size):
    model = model_of(description, seed)
    _, condition = given_to(model, 8, seed)
    images = model.sample(8, condition, seed=seed)  # of which none is so unlikely that the coder's least mass counts
    archive = pixelcnn.compress(model, images, condition, batch_size=batch_size, store_condition=False)
    said = bits(model, images, condition) / 8
    assert said * 0.999 <= len(archive) - 8 * CHECKSUM <= said * 1.001 + HEADER


@pytest.mark.parametrize("levels", [2, FEW, FEW + 1, 255, 256, 257, 1000, 65_536])
def test_every_level_comes_back(levels):
    model = tiny_model(channels=1, height=16, width=16, levels=levels, num_stages=1)
    images = (torch.arange(256) * (levels - 1) // 255).to(model.image.dtype).view(1, 1, 16, 16)
    assert STRETCH**2 >= 256 and FEW <= 255
    assert torch.equal(pixelcnn.decompress(model, pixelcnn.compress(model, images)), images)


def test_few_bits_take_few_bytes():
    model = tiny_model(torch.float64, channels=1, num_stages=1, levels=2)
    images = torch.ones(16, 1, 8, 8, dtype=torch.uint8)
    with torch.no_grad():
        model.network.layers["output"].dense.b[2:4] = 3.5  # means; every pixel is 1
        model.network.layers["output"].dense.g.mul_(0.01)
    said = bits(model, images) / 8
    assert said < 16
    assert len(pixelcnn.compress(model, images, batch_size=1)) - 16 * CHECKSUM <= said * 1.01 + HEADER


def test_batches_share_a_frame_and_frames_hold_what_is_left():
    model = tiny_model(channels=1, num_stages=1)
    images = random_images(model, 7)
    one, many = (pixelcnn.compress(model, images, batch_size=size) for size in (7, 1))
    assert abs(len(many) - len(one)) <= 8  # a frame a batch would take seven times its length and checksum


def test_frames_are_bounded(monkeypatch, tmp_path):
    monkeypatch.setattr("pixelcnn.compression.archive.FRAME", 3 * 64)
    model = tiny_model(channels=1, num_stages=1)
    images = random_images(model, 11)
    with open(tmp_path / "archive", "w+b") as file:
        archive = Compression(file, model, 11, 8, 8, batch_size=1)
        assert archive.frame == 3
        archive.add(images[:5])
        archive.add(images[5:])
        assert archive.result.num_images == 11 and archive.result.num_bytes == file.tell()
        file.seek(0)
        frames = list(pixelcnn.compression.Decompression(file, model))
    assert [len(images) for images, _ in frames] == [3, 2, 3, 3]
    assert torch.equal(torch.cat([images for images, _ in frames]), images)


def test_pixels_are_counted_and_verification_counts_again():
    model, calls = tiny_model(channels=1, num_stages=1), []
    archive = pixelcnn.compress(model, random_images(model, 5), batch_size=2, on_pixel=lambda: calls.append(1))
    assert len(calls) == 2 * 3 * 64
    pixelcnn.decompress(model, archive, on_pixel=lambda: calls.append(1))
    assert len(calls) == 3 * 3 * 64


def test_no_image_is_an_archive_too():
    model = tiny_model(channels=1)
    archive = pixelcnn.compress(model, random_images(model, 0))
    assert pixelcnn.decompress(model, archive).shape == (0, 1, 8, 8)


@pytest.mark.parametrize("levels", [256, 1000])
def test_images_that_do_not_come_back_are_stored_as_they_are(monkeypatch, levels):
    """As on a device whose floats differ from one pass to the next: here those of one image, where it is decoded."""
    model = tiny_model(channels=1, num_stages=1, num_filters=3, levels=levels)
    images = random_images(model, 5)
    code, of_one = Coding.code, images[3].clone()

    def otherwise(self, images, h, coder, on_pixel):
        code(self, images, h, coder, on_pixel)
        if isinstance(coder, Decoder):
            images[(images == of_one).flatten(1).all(1), 0, 3, 3] ^= 1

    monkeypatch.setattr(Coding, "code", otherwise)
    file = BytesIO()
    compression = Compression(file, model, 5, 8, 8, batch_size=2)
    compression.add(images)
    archive = file.getvalue()
    assert compression.result.num_raw == 1 and compression.result.num_images == 5
    monkeypatch.undo()
    assert torch.equal(pixelcnn.decompress(model, archive), images)
    stored = [image.numpy().astype("u1" if levels == 256 else "<u2").tobytes() for image in images]
    assert [image in archive for image in stored] == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda model, images: pixelcnn.compress(model, images[:, :, :4, :5]), "divisible by"),
        (lambda model, images: pixelcnn.compress(model, images.float()), "images of torch.float32"),
        (lambda model, images: pixelcnn.compress(model, images, torch.zeros(2)), "conditioning=none"),
        (lambda model, images: pixelcnn.compress(model, images, batch_size=0), "batch_size=0"),
    ],
)
def test_what_cannot_be_compressed_is_refused(call, told):
    model = tiny_model()
    with pytest.raises(UserError, match=told):
        call(model, random_images(model, 2))


def test_a_model_of_nan_is_refused():
    model = tiny_model(channels=1)
    with torch.no_grad():
        model.network.layers["output"].dense.b.fill_(torch.nan)
    with pytest.raises(UserError, match="probabilities"):
        pixelcnn.compress(model, random_images(model, 1))
