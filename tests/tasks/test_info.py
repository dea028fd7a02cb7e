"""``task=info`` says what is here, what is missing, and what a model needs."""

import json

import pytest

from pixelcnn.cli import CONF
from pixelcnn.training.machine import EXTRAS

SMALL = ("task.image_size=8", "model.num_filters=4", "model.num_resnet_blocks=1")


def test_it_tells_and_records_what_is_here(call, arrays, tmp_path, capsys):
    call("task=info", *arrays, *SMALL, "task.seconds=0.01", f"hydra.run.dir={tmp_path}")
    said = capsys.readouterr().out
    for title in ("Environment", "Devices", "Weights & Biases", "Extras", "Data sets"):
        assert f"\n{title}\n" in f"\n{said}"
    assert said.splitlines()[-1] == f"Run directory: {tmp_path}"
    found = json.loads((tmp_path / "info.json").read_text())
    assert found["versions"]["torch"] and found["processor"]["cores"] >= 1 and found["processor"]["memory"] > 10**8
    assert found["data"]["digits"] == "is there: in scikit-learn"
    assert "train.npz" in found["data"]["arrays"] and "is missing: data.root is not set" in found["data"]["images"]
    model = found["model"]
    assert model["batch_size"] == 4 and model["measured"]["images"] >= 1
    assert model["memory"]["of_a_step"] == model["memory"]["state"] + 4 * model["memory"]["activations_of_an_image"]
    assert model["days"] == pytest.approx(model["seconds_a_step"] * 1_950_000 / 86400)
    assert f"{model['parameters']:,} parameters" in said and "the original's 5,000 epochs" in said


def test_every_optional_extra_is_told():
    files = {path.name for path in CONF.parent.glob("requirements-*.txt")}
    assert files - {"requirements-dev.txt", "requirements-docs.txt"} == set(EXTRAS)


@pytest.mark.parametrize(
    "options", [("conditioning=class",), ("conditioning=vector", "conditioning.num_features=3")], ids=str
)
def test_conditional_models_are_counted(call, tmp_path, options):
    call("task=info", "data=digits", *SMALL, *options, "task.seconds=0", f"hydra.run.dir={tmp_path}")
    model = json.loads((tmp_path / "info.json").read_text())["model"]
    assert model["parameters"] > 1000 and model["measured"] is None and model["days"] is None


def test_an_energy_distance_is_measured_by_its_own_loss(call, tmp_path):
    keys = ("objective=energy_distance", "likelihood=implicit", "likelihood.num_features=4")
    call("task=info", "data=digits", *SMALL, *keys, "task.seconds=0.01", f"hydra.run.dir={tmp_path}")
    assert json.loads((tmp_path / "info.json").read_text())["model"]["seconds_a_step"] > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("conditioning=vector",), "conditioning.num_features"),
        (("task.image_size=0",), "task.image_size=0"),
        (("task.seconds=-1",), "task.seconds=-1"),
        (("task.image_size=9",), "images of 9x9 .* model.num_stages"),
        (("likelihood=implicit",), "likelihood=implicit"),
        (("data.batch_size=0",), "data.batch_size=0"),
        (("data=small_imagenet", "data.resolution=5"), "data.resolution=5"),
        (("model.num_stages=100000",), "model.num_stages=100000"),
        (("model.num_resnet_blocks=100000",), "model.num_resnet_blocks=100000"),
        (("model.num_filters=1000000",), "model=pixelcnn_pp takes more memory"),
        (("likelihood.num_mixtures=1000000000000",), "model=pixelcnn_pp takes more memory"),
    ],
)
def test_what_cannot_be_counted_is_refused(call, tmp_path, options, told):
    with pytest.raises(SystemExit, match=told):
        call("task=info", "data=digits", *SMALL[1:], *options, f"hydra.run.dir={tmp_path}")
