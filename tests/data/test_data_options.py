"""The files of conf/data: each builds its data set."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from pixelcnn.data.base import ImageDataModule
from pixelcnn.errors import UserError

FOLDER = Path(__file__).parents[2] / "conf"
# What has no default: a choice of images.
NEEDED = {"images": ["data.root=somewhere"], "torchvision": ["data.name=MNIST"], "huggingface": ["data.name=mnist"]}
OPTIONS = {path.stem: path for path in (FOLDER / "data").glob("*.yaml")}


def built(name, *overrides):
    with initialize_config_dir(str(FOLDER), version_base=None):
        return instantiate(compose(f"data/{name}", overrides=["+seed=3", *overrides]).data)


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_option_builds_its_data_set(name):
    data = built(name, *NEEDED.get(name, []))
    assert isinstance(data, ImageDataModule)
    assert data.seed == 3 and data.num_workers == 0


def test_digits_are_ready_to_train_on():
    data = built("digits")
    data.setup("fit")
    assert data.batches_per_epoch == (1498 - 100) // 32


def test_images_need_a_folder():
    with pytest.raises(Exception, match=r"data\.root ") as caught:
        built("images")
    assert isinstance(caught.value.__cause__, UserError)
