"""``task=info`` says what is here, what is missing, and what a model needs."""

import json

import numpy as np
import pytest

from pixelcnn.cli import CONF

SMALL = ("model.num_filters=4", "model.num_resnet_blocks=1")


def test_it_tells_and_records_what_the_data_set_and_the_model_are(call, arrays, tmp_path, capsys):
    call("task=info", *arrays, *SMALL, "trainer.max_epochs=3", f"hydra.run.dir={tmp_path}")
    said = capsys.readouterr().out
    for title in ("Environment", "Device", "Data sets", "model=pixelcnn_pp"):
        assert f"\n{title}\n" in f"\n{said}"
    assert said.splitlines()[-1] == f"Run directory: {tmp_path}"
    found = json.loads((tmp_path / "info.json").read_text())
    assert found["versions"]["torch"] and found["image"] == {"channels": 3, "height": 8, "width": 8, "levels": 256}
    assert found["data"]["digits"] == "is there: in scikit-learn"
    assert "train.npz" in found["data"]["arrays"] and "is missing: data.root is not set" in found["data"]["images"]
    model = found["model"]
    assert (model["batch_size"], model["steps_per_epoch"], model["steps"]) == (4, 5, 15)
    assert model["memory"]["of_a_step"] == model["memory"]["state"] + 4 * model["memory"]["activations_of_an_image"]
    assert model["flop_of_a_step"] == 4 * model["flop_of_an_image"] > 0
    assert f"{model['parameters']:,} parameters" in said and "5 steps per epoch, 15 in all" in said


@pytest.mark.parametrize(
    ("options", "image"),
    [
        (("data=digits",), (1, 8, 8, 17)),
        (("data=images", "model.num_stages=2"), (3, 32, 32, 256)),
        (("data=digits", "task.image_size=16"), (3, 16, 16, 256)),
    ],
)
def test_it_counts_for_the_images_of_the_data_set_where_they_are_here(call, tmp_path, options, image):
    call("task=info", *SMALL, *options, f"hydra.run.dir={tmp_path}")
    found = json.loads((tmp_path / "info.json").read_text())
    assert tuple(found["image"].values()) == image
    assert (found["model"]["steps_per_epoch"] is None) == (image[0] == 3)


def test_a_users_own_data_sets_are_told(call, monkeypatch, tmp_path):
    example = CONF.parent / "examples/own_network"
    monkeypatch.syspath_prepend(example)
    call("--config-dir", f"{example}/conf", "task=info", "data=digits", *SMALL, f"hydra.run.dir={tmp_path}")
    found = json.loads((tmp_path / "info.json").read_text())
    own = {path.stem for path in example.glob("conf/data/*.yaml")}
    assert own and own <= set(found["data"])


def test_files_that_are_here_and_wrong_are_not_taken_for_missing(call, tmp_path):
    np.savez(tmp_path / "codes.npz", codes=np.zeros((9, 4, 4), np.float32))
    files = (f"data.train={tmp_path}/codes.npz", f"data.test={tmp_path}/codes.npz")
    with pytest.raises(SystemExit, match=r"codes\.npz .*`codes`.*float32"):
        call("task=info", "data=codes", *files, *SMALL, f"hydra.run.dir={tmp_path}/run")


@pytest.mark.parametrize(
    "options",
    [
        ("conditioning=class",),
        ("conditioning=vector", "conditioning.num_features=3"),
        ("objective=energy_distance", "likelihood=implicit", "likelihood.num_features=4"),
    ],
    ids=str,
)
def test_every_kind_of_model_is_counted(call, tmp_path, options):
    call("task=info", "data=digits", *SMALL, *options, f"hydra.run.dir={tmp_path}")
    model = json.loads((tmp_path / "info.json").read_text())["model"]
    assert model["parameters"] > 1000 and model["flop_of_an_image"] > 1000


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("conditioning=vector",), "conditioning=vector needs embeddings"),
        (("task.image_size=0",), "task.image_size=0"),
        (("task.image_size=9",), "images of 9x9 .* model.num_stages"),
        (("likelihood=implicit",), "likelihood=implicit"),
        (("data.batch_size=0",), "data.batch_size=0"),
        (("data=small_imagenet", "data.resolution=5"), "data.resolution=5"),
        (("model.num_stages=100000",), "model.num_stages=100000"),
        (("model.num_resnet_blocks=100000",), "model.num_resnet_blocks=100000"),
        (("model.num_filters=1000000",), "model=pixelcnn_pp needs more memory"),
        (("likelihood.num_mixtures=1000000000000",), "model=pixelcnn_pp needs more memory"),
    ],
)
def test_what_cannot_be_counted_is_refused(call, tmp_path, options, told):
    with pytest.raises(SystemExit, match=told):
        call("task=info", "data=digits", *SMALL, *options, f"hydra.run.dir={tmp_path}")
