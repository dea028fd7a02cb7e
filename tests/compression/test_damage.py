"""An archive that is not as it was written, or meets another model or machine, never gives a wrong pixel."""

import dataclasses
import random
import zlib
from functools import partial

import pytest
import torch

import pixelcnn
from pixelcnn.compression.archive import NUMBER
from pixelcnn.compression.header import CRC, Header
from pixelcnn.errors import UserError
from tests.conftest import random_images, tiny_model

FLIPS = 1000


LABELS = torch.tensor([0, 1, 2, 1, 0])
TINY = dict(channels=1, height=4, width=4, levels=17, num_stages=1, num_filters=2)


@pytest.fixture(scope="module")
def model():
    return tiny_model(**TINY, conditioning=partial(pixelcnn.ClassLabels, num_classes=3))


@pytest.fixture(scope="module")
def images(model):
    return random_images(model, 5)


@pytest.fixture(scope="module")
def archive(model, images):
    return pixelcnn.compress(model, images, LABELS, batch_size=2)


def test_a_header_is_short(archive):
    assert 5 * 16 * 4 / 8 + 5 * 4 < len(archive) < 200 + 5 * 16 * 4.2 / 8 + 5 * 4


def test_every_flipped_bit_is_refused(model, archive):
    bits = range(8 * len(archive))
    for bit in random.Random(0).sample(bits, min(FLIPS, len(bits))):
        flipped = bytearray(archive)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(UserError, match=r"^archive "):
            pixelcnn.decompress(model, bytes(flipped))


@pytest.mark.parametrize("raw", [False, True])
def test_an_image_is_compared_even_where_its_frame_looks_whole(model, images, raw, monkeypatch):
    """As on a machine that rounds otherwise: the bits are right, the pixels are not."""
    if raw:
        monkeypatch.setattr(pixelcnn.compression.Compression, "_comes_back", lambda *_: False)
    n = 1 if raw else 5  # in a frame
    archive = pixelcnn.compress(model, images[:n], LABELS[:n], batch_size=5)
    monkeypatch.undo()
    assert torch.equal(pixelcnn.decompress(model, archive), images[:n])
    start = len(Header.of(model, n, 4, 4, 5, 2).to_bytes())
    first = start + 8 + (4 if raw else 1)  # behind the frame's length, its number of images and the labels
    for place in range(first, first + 8):
        changed = bytearray(archive)
        changed[place] ^= 4
        changed[-4:] = CRC.pack(zlib.crc32(changed[: start - 4] + changed[start:-4]))
        with pytest.raises(UserError, match=r"^archive decodes image"):
            pixelcnn.decompress(model, bytes(changed))


def test_frames_stay_in_their_places(model, images, monkeypatch):
    monkeypatch.setattr("pixelcnn.compression.archive.FRAME", 1)  # a frame a batch

    def frames_of(archive: bytes) -> list[bytes]:
        frames, start = [], len(Header.of(model, 5, 4, 4, 2, 2).to_bytes())
        while start < len(archive):
            end = start + 8 + NUMBER.unpack_from(archive, start)[0]
            frames.append(archive[start:end])
            start = end
        return frames

    archive, other = (pixelcnn.compress(model, each, LABELS, batch_size=2) for each in (images, images.flip(0)))
    a, b, c = frames_of(archive)
    strange = frames_of(other)
    header = archive[: -len(a + b + c)]
    assert torch.equal(pixelcnn.decompress(model, header + a + b + c), images)
    for frames in ([b, a, c], [a, a, c], [b, b, c], [a, strange[1], c], [strange[0], b, c]):
        with pytest.raises(UserError, match=r"^archive .*damaged"):
            pixelcnn.decompress(model, header + b"".join(frames))


def test_every_shorter_archive_is_refused(model, archive):
    for length in range(len(archive)):
        with pytest.raises(UserError, match=r"^archive .*(cut short|not an archive)"):
            pixelcnn.decompress(model, archive[:length])
    with pytest.raises(UserError, match=r"^archive .*after its last image"):
        pixelcnn.decompress(model, archive + b"\0")


@pytest.mark.parametrize("content", [b"", b"P", b"PK\3\4" + bytes(100), bytes(200)])
def test_other_files_are_not_archives(model, content):
    with pytest.raises(UserError, match=r"^archive .*not an archive"):
        pixelcnn.decompress(model, content)


@pytest.mark.parametrize("version", [2, 4])
def test_of_another_version(model, archive, version):
    with pytest.raises(UserError, match=rf"^archive .*format {version} .*3\b"):
        pixelcnn.decompress(model, archive[:4] + bytes([version]) + archive[5:])


def test_another_model_is_refused_and_forced_it_gives_no_wrong_pixel(model, archive):
    other = tiny_model(seed=1, **TINY, conditioning=model.description.conditioning)
    with pytest.raises(UserError, match=r"^archive .*another model.* task.force=true"):
        pixelcnn.decompress(other, archive)
    with pytest.raises(UserError, match=r"^archive decodes image"):
        pixelcnn.decompress(other, archive, force=True)
    with pytest.raises(UserError, match=r"^archive .*1 channels .*17 levels.* 3 .*256"):
        pixelcnn.decompress(tiny_model(), archive, force=True)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("threads", 77, "threads 77 "),
        ("torch", "2.0.0", "torch 2.0.0 "),
        ("device", "cuda:7", "device cuda:7 "),
        ("dtype", "float16", "dtype float16 .*float32"),
    ],
)
def test_what_decides_floats_is_compared_and_force_tries(model, images, archive, name, value, told, monkeypatch):
    of = Header.of.__func__
    monkeypatch.setattr(
        Header, "of", classmethod(lambda cls, *args: dataclasses.replace(of(cls, *args), **{name: value}))
    )
    elsewhere = pixelcnn.compress(model, images, LABELS, batch_size=2)
    monkeypatch.undo()
    with pytest.raises(UserError, match=told):
        pixelcnn.decompress(model, elsewhere)
    assert torch.equal(pixelcnn.decompress(model, elsewhere, force=True), images)


def test_conditions_are_given_where_they_are_not_stored(model, images, archive):
    apart = pixelcnn.compress(model, images, LABELS, store_condition=False)
    with pytest.raises(UserError, match=r"^archive .*conditions.* task.label"):
        pixelcnn.decompress(model, apart)
    with pytest.raises(UserError, match=r"^archive decodes image"):
        pixelcnn.decompress(model, apart, torch.full_like(LABELS, 2))
    with pytest.raises(UserError, match=r"^archive .*own conditions"):
        pixelcnn.decompress(model, archive, LABELS)
