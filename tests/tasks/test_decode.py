"""The decode hook: samples, completions and the grids of a run are shown by a function of the user's."""

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import UserError, pictures
from pixelcnn.decoding import Decoder
from tests.tasks.conftest import TINY

HOOK = """
import torch

def pictures(images):
    assert images.dtype == torch.int64 and images.device.type == "cpu"
    white = (images[:, :1] > 127).to(torch.uint8) * 255
    return white.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3).expand(-1, 3, -1, -1)

def floats(images):
    return images.float()

def fewer(images):
    return images[:1].to(torch.uint8)

none = 3
"""


@pytest.fixture(autouse=True)
def hook(tmp_path_factory, monkeypatch):
    """The module ``my_hook`` of a user's."""
    folder = tmp_path_factory.mktemp("hook")
    (folder / "my_hook.py").write_text(HOOK)
    monkeypatch.syspath_prepend(str(folder))


def decoded(images: np.ndarray) -> torch.Tensor:
    """What the hook makes of images (N, H, W, C)."""
    return Decoder("my_hook:pictures")(torch.from_numpy(images).permute(0, 3, 1, 2))


def picture(path) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)


def test_samples_and_completions_are_shown_decoded(call, trained, arrays, tmp_path):
    hook = "task.decode=my_hook:pictures"
    call("task=sample", f"checkpoint={trained}", hook, "task.num_samples=4", f"hydra.run.dir={tmp_path}/drawn")
    found = np.load(tmp_path / "drawn/samples.npz")
    assert found["images"].shape == (4, 8, 8, 3) and found["decoded"].shape == (4, 16, 16, 3)
    pixels = decoded(found["images"])
    np.testing.assert_array_equal(found["decoded"], pixels.permute(0, 2, 3, 1))
    assert torch.equal(picture(tmp_path / "drawn/samples.png"), pictures.grid(pixels, 256))

    options = ("task.mask=top:0.5", "task.num_images=2", "task.num_completions=3")
    call("task=complete", f"checkpoint={trained}", *arrays, hook, *options, f"hydra.run.dir={tmp_path}/completed")
    found = np.load(tmp_path / "completed/completions.npz")
    completed = decoded(found["images"]).unflatten(0, (2, 3))
    np.testing.assert_array_equal(found["decoded"], completed.flatten(0, 1).permute(0, 2, 3, 1))
    file = next(key for key in arrays if key.startswith("data.test=")).partition("=")[2]
    originals = decoded(np.load(file)["images"][:2])
    masked = originals.clone()
    masked[:, :, 8:] = 128
    rows = torch.cat([masked[:, None], completed, originals[:, None]], dim=1).flatten(0, 1)
    assert torch.equal(picture(tmp_path / "completed/completions.png"), pictures.grid(rows, 256, columns=5))


def test_the_grids_of_a_run_are_shown_decoded(call, arrays, tmp_path):
    call(*arrays, *TINY, "trainer.max_steps=1", "task.decode=my_hook:pictures", f"hydra.run.dir={tmp_path}")
    [grid] = (tmp_path / "samples").glob("*.png")
    assert set(picture(grid).unique().tolist()) <= {0, 255}


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("my_hook", "decode=my_hook is not a function"),
        ("no_such_module:pictures", "decode=no_such_module:pictures cannot be imported"),
        ("my_hook:picture", "decode=my_hook:picture is not a function"),
        ("my_hook:none", "is not a function"),
        ("my_hook:floats", r"returned torch.float32 of shape \(2, 1, 4, 4\) for 2 images"),
        ("my_hook:fewer", r"returned torch.uint8 of shape \(1, 1, 4, 4\) for 2 images"),
    ],
)
def test_a_wrong_hook_ends_in_a_sentence(named, words):
    with pytest.raises(UserError, match=words):
        Decoder(named)(torch.zeros(2, 1, 4, 4, dtype=torch.uint8))


def test_a_wrong_hook_is_refused_before_anything_is_drawn(call, tmp_path):
    for task in ("task=sample", "task=train data=digits"):
        with pytest.raises(SystemExit, match=r"task\.decode=my_hook:picture is not a function"):
            call(*task.split(), "task.decode=my_hook:picture", "checkpoint=absent.ckpt", f"hydra.run.dir={tmp_path}")


def test_hooks_are_given_few_images_at_a_time():
    seen = []

    def hook(images):
        seen.append(len(images))
        return images.to(torch.uint8)

    decoder = Decoder("my_hook:pictures")
    decoder.function = hook
    images = torch.arange(150).view(150, 1, 1, 1).to(torch.uint8)
    assert torch.equal(decoder(images), images) and seen == [64, 64, 22]
