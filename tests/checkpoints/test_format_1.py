"""Checkpoints that earlier versions wrote, whose parts have names instead of classes, still open and resume.

Beside them, ``format_1.json`` has what the version that wrote them computed: log p of `IMAGES`, as loaded and after
`resumed` had trained on for two steps.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pixelcnn import load
from pixelcnn.checkpoint import description_of, read
from pixelcnn.conditioning import ClassLabels, Unconditional
from pixelcnn.description import ModelDescription
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import Categorical, DiscretizedLogisticMixture
from pixelcnn.network import GatedPixelCNN, PixelCNNPP

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "format_1.json").read_text())
IMAGES = (torch.arange(3 * 16) * 7 % 17).to(torch.uint8).view(3, 1, 4, 4)
RESIDUAL = partial(PixelCNNPP, num_filters=3, num_resnet_blocks=1)
GATED = partial(GatedPixelCNN, num_filters=4, num_layers=2, first_kernel_size=3, kernel_size=3, num_output_features=4)
MIXTURE = partial(DiscretizedLogisticMixture, num_mixtures=2)
PARTS = {
    "pixelcnn_pp": (partial(RESIDUAL, num_stages=2), MIXTURE, Unconditional),
    "class_conditional": (partial(RESIDUAL, num_stages=1), MIXTURE, partial(ClassLabels, num_classes=3)),
    "gated_pixelcnn": (GATED, Categorical, Unconditional),
}


def path_of(name: str) -> Path:
    return HERE / f"format_1_{name}.ckpt"


def log_prob(path: Path, name: str) -> list[float]:
    condition = torch.arange(3) if name == "class_conditional" else None
    with torch.no_grad():
        return load(path).double().log_prob(IMAGES, condition).tolist()


@pytest.mark.parametrize("name", PARTS)
def test_it_is_the_distribution_that_it_was(name):
    checkpoint = read(path_of(name))
    assert checkpoint["pixelcnn"]["format"] == 1
    assert description_of(checkpoint, path_of(name)) == ModelDescription(ImageShape(1, 4, 4, 17), *PARTS[name])
    assert log_prob(path_of(name), name) == pytest.approx(EXPECTED["loaded"][name], rel=1e-9)


@pytest.mark.parametrize("name", EXPECTED["resumed"])
def test_its_run_resumes_as_it_would_have(name, call, tmp_path):
    rng = np.random.default_rng(0)
    for split, n in (("train", 12), ("test", 4)):
        images = rng.integers(0, 17, (n, 4, 4, 1)).astype(np.uint8)
        np.savez(tmp_path / f"{split}.npz", images=images, labels=np.arange(n) % 3, levels=17)
    data = (
        f"data.train={tmp_path}/train.npz",
        f"data.test={tmp_path}/test.npz",
        "data.batch_size=4",
        "data.val_size=4",
    )
    likelihood = ["model=gated_pixelcnn", "likelihood=categorical"] if name == "gated_pixelcnn" else []
    call(
        "data=arrays", *data, *likelihood, "logger=none", "callbacks.samples=null", "callbacks.ranked_images=null",
        "trainer.max_epochs=2", "trainer.max_steps=4", "trainer.accelerator=cpu",
        f"checkpoint={path_of(name)}", f"hydra.run.dir={tmp_path}/run",
    )  # fmt: skip
    last = tmp_path / "run/checkpoints/last.ckpt"
    assert read(last)["pixelcnn"]["format"] == 2 and read(last)["global_step"] == 4
    assert log_prob(last, name) == pytest.approx(EXPECTED["resumed"][name], rel=1e-6)
