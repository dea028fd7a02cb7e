"""Sampling from a checkpoint by the command line."""

import numpy as np
import torch

from pixelcnn import load


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
