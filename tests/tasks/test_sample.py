"""Sampling from a checkpoint by the command line."""

import numpy as np
import pytest
import torch

from pixelcnn import load
from tests.tasks.conftest import TINY


def test_the_same_seed_gives_the_same_images(call, trained, tmp_path):
    checkpoint = trained / "checkpoints/best.ckpt"
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        call(
            "task=sample",
            f"checkpoint={checkpoint}",
            "task.num_samples=3",
            f"seed={seed}",
            f"hydra.run.dir={tmp_path}/{name}",
        )
    a, b, c = (np.load(tmp_path / name / "samples.npz")["images"] for name in "abc")
    assert a.shape == (3, 8, 8, 3) and a.dtype == np.uint8
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()
    assert (tmp_path / "a" / "samples.png").is_file()
    drawn = load(checkpoint).sample(3, seed=3)
    assert torch.equal(drawn.permute(0, 2, 3, 1), torch.from_numpy(a))


def test_labels_choose_what_is_drawn(arrays, call, tmp_path):
    call(*arrays, *TINY, "conditioning=class", "trainer.max_steps=1", f"hydra.run.dir={tmp_path}/run")
    keys = ["task=sample", f"checkpoint={tmp_path}/run/checkpoints/last.ckpt", "task.num_samples=2"]

    def drawn(name: str, *overrides: str):
        call(*keys, *overrides, f"hydra.run.dir={tmp_path}/{name}")
        return np.load(tmp_path / name / "samples.npz")

    assert drawn("all", "task.label=all")["labels"].tolist() == [0, 0, 1, 1, 2, 2]
    assert drawn("one", "task.label=2")["labels"].tolist() == [2, 2]
    assert drawn("turn")["labels"].tolist() == [0, 1]
    for label in ("3", "-1", "cat"):
        with pytest.raises(SystemExit, match=rf"task.label={label} .*0 to 2"):
            drawn("none", f"task.label={label}")


def test_a_label_needs_a_class_conditional_model(call, trained, tmp_path):
    with pytest.raises(SystemExit, match=r"task.label=1 "):
        call("task=sample", f"checkpoint={trained}/checkpoints/best.ckpt", "task.label=1", f"hydra.run.dir={tmp_path}")
