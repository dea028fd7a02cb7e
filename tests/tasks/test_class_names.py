"""Classes keep the names of their folders: in checkpoints, in what names a condition, and in what is written."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import pixelcnn
from tests.tasks.conftest import TINY

CLASSES = ("bird", "cat", "dog")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of 8x8 images in sub-folders of classes."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for split, n in (("train", 6), ("test", 3)):
        for name in CLASSES:
            (root / split / name).mkdir(parents=True)
            for i in range(n):
                Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(root / split / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def run_of_classes(folder, call, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    data = ("data=images", f"data.root={folder}", "data.batch_size=4", "data.val_size=4", "conditioning=class")
    call(*data, *TINY, "trainer.max_epochs=1", f"hydra.run.dir={directory}")
    return directory


def test_a_checkpoint_and_its_export_know_them(run_of_classes, call, tmp_path):
    model = pixelcnn.load(run_of_classes)
    assert model.class_names == CLASSES
    pixelcnn.save(model, tmp_path / "saved")
    call("task=export", f"checkpoint={run_of_classes}", f"hydra.run.dir={tmp_path}/exported")
    assert pixelcnn.load(tmp_path / "saved").class_names == CLASSES
    assert pixelcnn.load(tmp_path / "exported").class_names == CLASSES


def test_a_name_samples_as_its_number_does(run_of_classes, call, tmp_path):
    for label in ("cat", "1"):
        call(
            *("task=sample", "task.num_samples=2", f"checkpoint={run_of_classes}", f"task.label={label}"),
            f"hydra.run.dir={tmp_path}/{label}",
        )
    by_name, by_number = (np.load(tmp_path / label / "samples.npz") for label in ("cat", "1"))
    assert by_name["labels"].tolist() == [1, 1]
    np.testing.assert_array_equal(by_name["images"], by_number["images"])


@pytest.mark.parametrize(("label", "told"), [("cats", "did you mean cat?"), ("x", "0 to 2, or one of bird, cat, dog")])
def test_a_misspelt_name_is_refused_with_the_nearest(run_of_classes, call, tmp_path, label, told):
    with pytest.raises(SystemExit) as exit_:
        call("task=sample", f"checkpoint={run_of_classes}", f"task.label={label}", f"hydra.run.dir={tmp_path}")
    assert exit_.value.code.startswith(f"task.label={label} ") and told in exit_.value.code


def test_an_evaluation_names_them(run_of_classes, call, tmp_path):
    call("task=evaluate", f"checkpoint={run_of_classes}", f"hydra.run.dir={tmp_path}/own")
    with (tmp_path / "own/per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["label"], row["class"]) for row in rows] == [
        (str(label), name) for label, name in enumerate(CLASSES) for _ in range(3)
    ]
    report = (tmp_path / "own/report.html").read_text()
    assert all(f"label {name}" in report and f">{name}<" in report for name in CLASSES)
    assert "label cat" in (run_of_classes / "report.html").read_text()
    scores = []
    for label in ("dog", "2"):
        call(
            "task=evaluate", f"checkpoint={run_of_classes}", f"task.label={label}", f"hydra.run.dir={tmp_path}/{label}"
        )
        scores.append(json.loads((tmp_path / label / "metrics.json").read_text())["test/bits_per_dim"])
    assert scores[0] == scores[1]


@pytest.mark.parametrize("task", [("evaluate",), ("complete", "task.mask=top:0.5")])
def test_labels_that_mean_other_classes_are_refused(run_of_classes, folder, call, tmp_path, task):
    shutil.copytree(folder / "test", tmp_path / "other/test")
    (tmp_path / "other/test/cat").rename(tmp_path / "other/test/cow")
    keys = (
        f"checkpoint={run_of_classes}",
        "data=images",
        f"data.root={tmp_path}/other",
        f"hydra.run.dir={tmp_path}/run",
    )
    with pytest.raises(SystemExit, match=r"label 1 cow.* cat"):
        call(f"task={task[0]}", *task[1:], *keys)
