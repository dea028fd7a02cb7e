import resource

import pytest
import torch

from pixelcnn import pictures
from tests.training.tiny import picture_in


@pytest.mark.parametrize("levels", [2, 5, 17, 256])
def test_levels_span_black_to_white(levels):
    images = torch.arange(levels, dtype=torch.uint8)[:, None, None, None].expand(levels, 1, 64, 64)
    picture = pictures.grid(images, levels, columns=levels)
    assert picture.dtype == torch.uint8 and picture.shape == (3, 68, 66 * levels + 2)
    values = picture[0, 34, 34::66].tolist()
    assert values == [round(255 * level / (levels - 1)) for level in range(levels)]


def test_images_stand_row_by_row_in_a_square():
    images = torch.arange(5, dtype=torch.uint8)[:, None, None, None].expand(5, 3, 64, 64)
    picture = pictures.grid(images, 256)
    assert picture.shape == (3, 2 * 66 + 2, 3 * 66 + 2)
    assert picture[0, 10, [10, 76, 142]].tolist() == [0, 1, 2]
    assert picture[0, 76, [10, 76, 142]].tolist() == [3, 4, 255]


def test_small_images_are_enlarged_pixel_by_pixel():
    images = torch.randint(256, (2, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    picture = pictures.grid(images, 256)
    assert picture.shape == (3, 68, 134)
    for row, column in ((0, 0), (7, 0), (0, 7), (7, 7)):
        assert torch.equal(picture[:, 2 + row : 66 : 8, 2 + column : 66 : 8], images[0])


def test_saved_as_png(tmp_path):
    picture = pictures.grid(torch.randint(256, (4, 3, 8, 8)).to(torch.uint8), 256)
    pictures.save(picture, tmp_path / "new" / "grid.png")
    assert torch.equal(picture_in(tmp_path / "new" / "grid.png"), picture)


def test_a_full_disk_leaves_no_half_of_a_picture(tmp_path):
    picture = torch.randint(256, (3, 64, 64)).to(torch.uint8)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            pictures.save(picture, tmp_path / "grid.png")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
