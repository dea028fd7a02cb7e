import numpy as np
import pytest
from PIL import Image

from pixelcnn.data.small_imagenet import SmallImageNet
from pixelcnn.errors import UserError


def small_imagenet(root, resolution=32):
    return SmallImageNet(root=str(root), resolution=resolution, batch_size=1, val_size=1, num_workers=0, seed=0)


def test_absent_files_are_explained(tmp_path):
    with pytest.raises(UserError) as caught:
        small_imagenet(tmp_path, 64).setup("fit")
    message = str(caught.value)
    assert all(part in message for part in ("https://image-net.org", "train_64x64", "valid_64x64", str(tmp_path)))
    assert "\n" not in message and message.endswith(".")


def test_unpacked_folders_are_read_grey_images_as_colours(tmp_path):
    for folder, count in (("train_32x32", 3), ("valid_32x32", 2)):
        (tmp_path / folder).mkdir()
        for place in range(count):
            mode = "L" if place == 1 else "RGB"
            Image.new(mode, (32, 32), 40 if mode == "L" else (10, 20, 30)).save(tmp_path / folder / f"{place}.png")
    data = small_imagenet(tmp_path)
    data.setup("fit")
    assert data.arrays("train").images.shape == (3, 3, 32, 32)
    np.testing.assert_array_equal(data.arrays("train").images[:, :, 7, 9], [[10, 20, 30], [40] * 3, [10, 20, 30]])
    assert len(data.arrays("test").images) == 2
    assert data.num_classes is None


def test_other_resolutions_do_not_exist(tmp_path):
    with pytest.raises(UserError, match=r"^data\.resolution=48 "):
        small_imagenet(tmp_path, 48)
