"""Masks are what their description says, in the image's own pixels."""

import struct

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import UserError
from pixelcnn.masks import known_pixels
from pixelcnn.orders import comes_first


def test_descriptions():
    rows, columns = torch.arange(8)[:, None].expand(8, 4), torch.arange(4).expand(8, 4)
    assert torch.equal(known_pixels("top:0.5", 8, 4), rows < 4)
    assert torch.equal(known_pixels("left:.25", 8, 4), columns < 1)
    assert torch.equal(known_pixels("bottom:0.25", 8, 4), rows >= 6)
    assert torch.equal(known_pixels("right:0.75", 8, 4), columns >= 1)
    inside = (rows >= 2) & (rows < 6) & (columns >= 1) & (columns < 4)
    assert torch.equal(known_pixels("box:0.25:0.25:0.75:1", 8, 4), inside)
    assert torch.equal(known_pixels("hole:0.25, 0.25, 0.75, 1.0", 8, 4), ~inside)


def test_an_image_knows_where_it_is_bright(tmp_path):
    known = np.random.default_rng(0).random((8, 4)) < 0.5
    Image.fromarray(np.where(known, 200, 50).astype(np.uint8)).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(known_pixels(str(tmp_path / "mask.png"), 8, 4).numpy(), known)
    with pytest.raises(UserError, match=r"mask.png .*8x4.* 8x8"):
        known_pixels(str(tmp_path / "mask.png"), 8, 8)


@pytest.mark.parametrize(
    "mask",
    [
        "top",
        "top:",
        "top:2",
        "top:-0.5",
        "top:a",
        "top:0.1,0.2",
        "left:",
        "bottom:0.5,0.5",
        "right:0",
        "box:0.5",
        "box:0.5,0,0.2,1",
        "hole:0,0,0,1",
        "box:0.5,0,0.5,1",
        "top:0",
        "left:0.01",
        "top:1",
        "box:0,0,1,1",
        "hole:0,0,1,1",
        "no.png",
    ],
)
def test_other_descriptions_are_refused(mask):
    with pytest.raises(UserError, match=rf"task.mask={mask} "):
        known_pixels(mask, 8, 8)


@pytest.mark.parametrize(("value", "told"), [(0, "no pixel of 8x4"), (255, "every pixel of 8x4")])
def test_an_image_of_one_value_is_refused(tmp_path, value, told):
    Image.new("L", (4, 8), value).save(tmp_path / "mask.png")
    with pytest.raises(UserError, match=rf"task.mask=.*mask.png marks {told}"):
        known_pixels(str(tmp_path / "mask.png"), 8, 4)


def test_a_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "mask.png").write_text("white")
    with pytest.raises(UserError, match=r"mask.png "):
        known_pixels(str(tmp_path / "mask.png"), 8, 8)


def test_a_file_of_more_pixels_than_pillow_reads_is_refused(tmp_path):
    file = tmp_path / "mask.bmp"
    Image.new("L", (8, 8)).save(file)
    content = file.read_bytes()
    file.write_bytes(content[:18] + struct.pack("<2i", 2**20, 2**20) + content[26:])
    with pytest.raises(UserError, match=r"mask\.bmp "):
        known_pixels(str(file), 8, 8)


def test_a_file_that_is_cut_short_is_refused(tmp_path):
    Image.fromarray(np.tile(np.arange(8, dtype=np.uint8) * 30, (8, 1))).save(tmp_path / "mask.png")
    content = (tmp_path / "mask.png").read_bytes()
    for length in range(8, len(content)):
        (tmp_path / "mask.png").write_bytes(content[:length])
        with pytest.raises(UserError, match=r"mask.png "):
            known_pixels(str(tmp_path / "mask.png"), 8, 8)


@pytest.mark.parametrize(
    ("mask", "first"),
    [
        ("top:0.5", True),
        ("top:0.125", True),
        ("top:0.875", True),
        ("hole:0.5,0,1,1", True),
        ("box:0.5,0,1,1", False),
        ("left:0.5", False),
        ("bottom:0.5", False),
    ],
)
def test_whether_the_known_part_comes_first(mask, first):
    assert comes_first(known_pixels(mask, 8, 8)) is first


@pytest.mark.parametrize("mode", ["RGBA", "LA", "I;16", "I", "F"])
def test_what_black_and_white_are_of_a_mask_is_not_guessed(tmp_path, mode):
    Image.new(mode, (8, 8)).save(tmp_path / ("mask.tiff" if mode in "IF" else "mask.png"))
    (path,) = tmp_path.iterdir()
    with pytest.raises(UserError, match="8 bits"):
        known_pixels(str(path), 8, 8)


def test_a_mask_has_one_frame(tmp_path):
    frames = [Image.new("L", (8, 8), value) for value in (0, 255)]
    frames[0].save(tmp_path / "mask.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(UserError, match=r"mask.gif .*2 frames"):
        known_pixels(str(tmp_path / "mask.gif"), 8, 8)
