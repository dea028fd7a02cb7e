"""A run on images that are cropped, resized, of fewer levels, flipped and mutated; what resumes it; what scores it."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import load
from tests.tasks.conftest import TINY


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """The keys of a folder of images of several sizes in two classes."""
    folder = tmp_path_factory.mktemp("photographs")
    draw = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 5)):
        for place in range(count):
            file = folder / split / "ab"[place % 2] / f"{place}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(draw.integers(0, 256, (9 + place, 20 - place, 3), dtype=np.uint8)).save(file)
    keys = ("data.crop=square", "data.size=8", "data.levels=32", "data.flip=true", "data.mutate=0.1")
    return ("data=images", f"data.root={folder}", "data.batch_size=4", "data.val_size=4", *keys, *TINY)


@pytest.fixture(scope="module")
def stopped(photographs, call, tmp_path_factory):
    """A run of one and a half epochs."""
    directory = tmp_path_factory.mktemp("stopped")
    call(*photographs, "trainer.max_steps=3", f"hydra.run.dir={directory}")
    return directory


def test_resuming_in_mid_epoch_equals_not_stopping(photographs, call, stopped, tmp_path):
    last = f"checkpoint={stopped}/checkpoints/last.ckpt"
    call(*photographs, "trainer.max_steps=6", f"hydra.run.dir={tmp_path}/whole")
    call(*photographs, last, "trainer.max_steps=6", f"hydra.run.dir={tmp_path}/resumed")
    paths = [tmp_path / name / "checkpoints/last.ckpt" for name in ("whole", "resumed")]
    whole, resumed = (torch.load(path, weights_only=True)["state_dict"] for path in paths)
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


@pytest.mark.parametrize(
    "key", ["data.size=12", "data.size=[8,8]", "data.flip=false", "data.mutate=0.2", "data.crop=9"]
)
def test_a_run_resumes_with_its_own_images_alone(photographs, call, stopped, tmp_path, key):
    last = f"checkpoint={stopped}/checkpoints/last.ckpt"
    with pytest.raises(SystemExit, match=f"^{key.partition('=')[0]}=.* disagrees|^{key} .*has other training images"):
        call(*photographs, last, key, f"hydra.run.dir={tmp_path}")


def test_other_tasks_take_its_size_and_levels(call, stopped, tmp_path, caplog):
    assert str(load(stopped / "checkpoints/best.ckpt").description.image) == "8x8 with 3 channels and 32 levels"
    call("task=evaluate", f"checkpoint={stopped}", f"hydra.run.dir={tmp_path}")
    assert json.loads((tmp_path / "metrics.json").read_text())["test/num_images"] == 5
    assert "are of" not in caplog.text


def test_scores_of_another_size_say_so(call, stopped, tmp_path, caplog):
    call("task=evaluate", f"checkpoint={stopped}", "data.size=12", f"hydra.run.dir={tmp_path}")
    told = f"The images are of 12x12, {stopped} is a model of 8x8: scores of different sizes cannot be compared."
    assert told in caplog.text and told in (tmp_path / "report.html").read_text()
