"""Parts that stand alone: without a name, with weights that are used twice, with labels that are embedded."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import pixelcnn
from pixelcnn.likelihood import Categorical
from tests.tasks.conftest import TINY


class Embedded(nn.Module):
    """Labels as learned vectors."""

    batch_key = "labels"
    size_key = "num_classes"
    sees_the_image = False

    def __init__(self, *, num_classes: int, width: int = 2) -> None:
        super().__init__()
        self.features = width
        self.table = nn.Embedding(num_classes, width)

    def examples(self, n: int) -> Tensor:
        return torch.arange(n) % self.table.num_embeddings

    def encode(self, condition: Tensor | None, n: int, height: int, width: int) -> Tensor:
        assert condition is not None
        return self.table(condition)


class Tied(nn.Module):
    """Row by row, with one layer used twice."""

    def __init__(self, image_channels: int, num_parameters: int, condition_features: int = 0, width: int = 4) -> None:
        super().__init__()
        layer = nn.Conv2d(width, width, (1, 3))
        self.first, self.layers = nn.Conv2d(image_channels, width, (1, 3)), nn.Sequential(layer, layer)
        self.given, self.last = nn.Linear(condition_features, width), nn.Conv2d(width, num_parameters, 1)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        y = self.first(F.pad(x, (3, -1))) + self.given(h)[:, :, None, None]
        for layer in self.layers:
            y = torch.tanh(layer(F.pad(y, (2, 0))))
        return self.last(y)


@pytest.fixture
def model() -> pixelcnn.PixelModel:
    torch.manual_seed(0)
    return pixelcnn.PixelModel(
        (1, 4, 4, 4), network=Tied, likelihood=Categorical, conditioning=partial(Embedded, num_classes=3)
    ).eval()


def test_a_progress_bar_of_ones_own_takes_the_place_of_ours(arrays, call, tmp_path):
    bar = "+callbacks.bar={_target_: pytorch_lightning.callbacks.TQDMProgressBar}"
    call(*arrays, *TINY, bar, "trainer.max_steps=1", f"hydra.run.dir={tmp_path}")


def test_weights_used_twice_are_saved_and_loaded(model, tmp_path):
    pixelcnn.save(model, tmp_path)
    again = pixelcnn.load(tmp_path, trust=["tests"])
    images, labels = torch.randint(0, 4, (3, 1, 4, 4), dtype=torch.uint8), torch.arange(3)
    assert torch.equal(again.log_prob(images, labels), model.log_prob(images, labels))


def test_every_class_is_drawn_and_its_labels_are_stored(model, call, tmp_path):
    pixelcnn.save(model, tmp_path / "model")
    task = ("task=sample", f"checkpoint={tmp_path}/model", "trust=[tests]", "task.num_samples=2")
    call(*task, "task.label=all", f"hydra.run.dir={tmp_path}/all")
    assert np.load(tmp_path / "all/samples.npz")["labels"].tolist() == [0, 0, 1, 1, 2, 2]
    call(*task, "task.label=2", f"hydra.run.dir={tmp_path}/one")
    drawn = np.load(tmp_path / "one/samples.npz")
    labels = torch.tensor([2, 2])
    assert drawn["labels"].tolist() == labels.tolist()
    np.testing.assert_array_equal(drawn["images"], model.sample(2, labels).permute(0, 2, 3, 1))
    with pytest.raises(SystemExit, match="0 to 2"):
        call(*task, "task.label=3", f"hydra.run.dir={tmp_path}/none")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("model.width=3", r"model.width=3 disagrees with checkpoint=.*/model, which has model.width=4"),
        ("model.widht=3", r"model.widht is not a key of tests.*Tied: did you mean model.width\?"),
        ("model.width=wide", r"model.width=wide is of the wrong type"),
        ("conditioning.num_classes=2", r"conditioning.num_classes=2 disagrees .* has conditioning.num_classes=3"),
        ("model=pixelcnn", r"model=pixelcnn disagrees with checkpoint="),
    ],
)
def test_keys_are_those_of_the_checkpoints_parts(model, call, tmp_path, override, told):
    pixelcnn.save(model, tmp_path / "model")
    images, labels = np.zeros((6, 4, 4), np.uint8), np.arange(6) % 3
    np.savez(tmp_path / "test.npz", images=images, labels=labels, levels=4)
    task = ("task=evaluate", f"checkpoint={tmp_path}/model", "trust=[tests]", f"hydra.run.dir={tmp_path}/run")
    with pytest.raises(SystemExit, match=f"^{told}"):
        call(*task, "data=arrays", f"data.test={tmp_path}/test.npz", override)
    call(*task, "data=arrays", f"data.test={tmp_path}/test.npz", "model.width=4", "logger=none")


def test_a_part_that_is_not_trusted_is_not_imported_for_its_keys(model, call, tmp_path):
    pixelcnn.save(model, tmp_path / "model")
    with pytest.raises(SystemExit, match=r"^checkpoint=.*'tests.*trust=\[tests\]"):
        call("task=sample", f"checkpoint={tmp_path}/model", "model.width=3", f"hydra.run.dir={tmp_path}/run")
