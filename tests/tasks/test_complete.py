"""Completion by the command line."""

from itertools import count

import numpy as np
import pytest
from PIL import Image

from tests.tasks.conftest import TINY


@pytest.fixture
def complete(call, trained, tmp_path):
    directories = (tmp_path / str(number) for number in count())

    def complete(*overrides: str, checkpoint=trained / "checkpoints/best.ckpt"):
        run_dir = next(directories)
        call("task=complete", f"checkpoint={checkpoint}", *overrides, f"hydra.run.dir={run_dir}")
        return np.load(run_dir / "completions.npz")

    return complete


def test_known_pixels_come_back(complete, arrays, tmp_path):
    found = complete(*arrays, "task.mask=top:0.5", "task.num_images=3", "task.num_completions=2")
    originals = np.load(arrays[2].removeprefix("data.test="))["images"]
    assert found["index"].tolist() == [0, 0, 1, 1, 2, 2]
    assert found["images"].shape == (6, 8, 8, 3) and found["images"].dtype == np.uint8
    mask = found["mask"]
    assert mask.sum() == 32
    np.testing.assert_array_equal(found["images"][:, mask], originals[found["index"]][:, mask])
    assert (found["images"][0] != found["images"][1]).any()
    assert found["log_prob"].shape == (6,) and (found["log_prob"] < 0).all()
    # A row of masked image, two completions and original, of 64 pixels each with margins of 2.
    assert Image.open(tmp_path / "0/completions.png").size == (4 * 66 + 2, 3 * 66 + 2)


def test_what_is_not_conditioned_on_is_said(complete, arrays, capsys):
    complete(*arrays, "task.mask=left:0.5", "task.num_images=1")
    assert "task.mask=left:0.5 has known pixels after unknown ones" in capsys.readouterr().out
    complete(*arrays, "task.mask=top:0.5", "task.num_images=1")
    assert "task.mask" not in capsys.readouterr().out


def test_more_images_than_there_are_are_refused(complete, arrays):
    with pytest.raises(SystemExit, match=r"task.num_images=\d+ .*at most \d+"):
        complete(*arrays, "task.mask=top:0.5", "task.num_images=100000")


def test_a_file_is_completed(complete, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    found = complete(f"task.file={tmp_path}/one.png", "task.mask=top:0.75", "task.num_completions=2")
    np.testing.assert_array_equal(found["images"][:, :6], np.stack([pixels[:6]] * 2))


def test_a_file_of_a_size_that_the_model_does_not_take_is_named(complete, tmp_path):
    Image.new("RGB", (7, 13)).save(tmp_path / "odd.png")
    with pytest.raises(SystemExit, match=r"task.file=.*odd.png .*13x7.* by \d"):
        complete(f"task.file={tmp_path}/odd.png", "task.mask=top:0.75")


def test_labels_are_the_data_sets_or_given(complete, arrays, call, tmp_path):
    call(*arrays, *TINY, "conditioning=class", "trainer.max_steps=1", f"hydra.run.dir={tmp_path}/run")
    checkpoint = tmp_path / "run/checkpoints/last.ckpt"
    keys = (*arrays, "task.mask=top:0.5", "task.num_images=4", "task.num_completions=1")
    labels = np.load(arrays[2].removeprefix("data.test="))["labels"][:4]
    own = complete(*keys, checkpoint=checkpoint)["log_prob"]
    given = [complete(*keys, f"task.label={label}", checkpoint=checkpoint)["log_prob"] for label in range(3)]
    np.testing.assert_allclose(own, [given[label][i] for i, label in enumerate(labels)], rtol=1e-5)
