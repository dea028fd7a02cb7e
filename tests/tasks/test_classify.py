"""``task=classify``: what the model's posterior says of every image of a split, each counted once."""

import csv
import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import load
from pixelcnn.tasks.classify import summary
from tests.tasks.test_evaluate import ROOT

pytestmark = pytest.mark.drawn


def outcome(directory) -> tuple[dict, list[dict]]:
    with (directory / "per_image.csv").open() as file:
        return json.loads((directory / "metrics.json").read_text()), list(csv.DictReader(file))


@pytest.mark.parametrize(("batch_size", "prior"), [(1, None), (4, [0.1, 0.2, 0.7])])
def test_every_image_is_classified_once(arrays, call, classes, tmp_path, look, batch_size, prior):
    keys = [f"checkpoint={classes}", f"data.batch_size={batch_size}", f"hydra.run.dir={tmp_path}"]
    call(*arrays, "task=classify", *keys, *([] if prior is None else [f"task.prior={prior}"]))
    metrics, rows = outcome(tmp_path)
    stored = np.load(arrays[2].removeprefix("data.test="))
    images, labels = torch.from_numpy(stored["images"]).permute(0, 3, 1, 2), stored["labels"]
    with torch.no_grad():
        expected = load(classes).classify(images, None if prior is None else torch.tensor(prior)).numpy()
    posterior = np.array([[float(row[f"posterior_{k}"]) for k in range(3)] for row in rows])
    np.testing.assert_allclose(posterior, np.exp(expected), rtol=1e-3, atol=1e-9)
    assert [int(row["index"]) for row in rows] == list(range(11))
    assert [int(row["label"]) for row in rows] == labels.tolist()
    predicted = [int(row["predicted"]) for row in rows]
    assert predicted == expected.argmax(axis=1).tolist()
    assert metrics["test/num_images"] == 11 and metrics["test/accuracy"] == pytest.approx(np.mean(predicted == labels))
    assert metrics["test/log_loss"] == pytest.approx(-expected[np.arange(11), labels].mean(), rel=1e-4)
    for name in ("confusion.png", "calibration.png"):
        with Image.open(tmp_path / name) as picture:
            assert len(picture.convert("RGB").getcolors(2**24)) > 20
    if prior is not None:
        seen = look(tmp_path / "report.html")
        assert all(picture["colours"] > 2 for picture in seen["pictures"]) and seen["width"] <= 1100
        mistakes = [f"Image {i}" for i in np.flatnonzero(predicted != labels)]
        assert sorted(picture["alt"] for picture in seen["pictures"][2:]) == sorted(mistakes)
        assert f"{100 * metrics['test/accuracy']:.2f}" in seen["text"] and "prior [0.1, 0.2, 0.7]" in seen["text"]


@pytest.mark.slow
def test_two_processes_classify_what_one_does(arrays, call, classes, tmp_path):
    keys = [*arrays, "task=classify", f"checkpoint={classes}", "trainer.accelerator=cpu"]
    call(*keys, f"hydra.run.dir={tmp_path}/one")
    two = ["trainer.devices=2", "data.batch_size=6", f"hydra.run.dir={tmp_path}/two"]
    subprocess.run([sys.executable, "run.py", *keys, *two], cwd=ROOT, check=True)
    (one, rows_of_one), (two, rows_of_two) = outcome(tmp_path / "one"), outcome(tmp_path / "two")
    assert two == pytest.approx(one, rel=1e-4)
    assert [row["index"] for row in rows_of_two] == [row["index"] for row in rows_of_one]


def test_calibration_is_that_of_the_paper():
    """Guo et al. 2017, equation 3, written out: 15 bins of the confidence, weighted by their images."""
    rng = np.random.default_rng(0)
    log_posterior = np.log(rng.dirichlet([0.5] * 4, 200))
    label = rng.integers(0, 4, 200)
    confidence, right = np.exp(log_posterior).max(axis=1), log_posterior.argmax(axis=1) == label
    bins = np.ceil(confidence * 15).astype(int)
    expected = sum(
        abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)
    )
    values = summary(label, log_posterior)
    assert values["ece"] == pytest.approx(expected, abs=1e-6)
    assert values["accuracy"] == right.mean()
    assert values["accuracy_ci95"] == pytest.approx(1.96 * right.std(ddof=1) / math.sqrt(200))


def test_what_task_classify_refuses(arrays, call, trained, classes, tmp_path):
    keys = (*arrays, "task=classify", f"hydra.run.dir={tmp_path}")
    with pytest.raises(SystemExit, match=r"^checkpoint=.*best.ckpt .*conditioning=none"):
        call(*keys, f"checkpoint={trained}/checkpoints/best.ckpt")
    with pytest.raises(SystemExit, match=r"^task.prior=\[0.5, 0.5\] .*2 .*3 classes"):
        call(*keys, f"checkpoint={classes}", "task.prior=[0.5,0.5]")
    test = np.load(arrays[2].removeprefix("data.test="))
    np.savez(tmp_path / "plain.npz", images=test["images"])
    with pytest.raises(SystemExit, match=r"labels"):
        call(*keys, f"checkpoint={classes}", f"data.test={tmp_path}/plain.npz")
    assert not (tmp_path / "metrics.json").exists()
