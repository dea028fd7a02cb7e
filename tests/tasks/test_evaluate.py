"""Every image of the split counts once, whatever the batch size and the number of processes."""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning.strategies import Strategy

from pixelcnn import load
from pixelcnn.tasks.evaluate import summary
from pixelcnn.training.metrics import ImageScores

pytestmark = pytest.mark.drawn

ROOT = Path(__file__).parents[2]


def outcome(directory) -> tuple[dict, list[dict]]:
    with (directory / "per_image.csv").open() as file:
        return json.loads((directory / "metrics.json").read_text()), list(csv.DictReader(file))


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_batch_size_does_not_matter(arrays, call, trained, tmp_path, batch_size):
    checkpoint = trained / "checkpoints/best.ckpt"
    keys = ["task=evaluate", f"checkpoint={checkpoint}", f"data.batch_size={batch_size}"]
    call(*arrays, *keys, f"hydra.run.dir={tmp_path}")
    metrics, rows = outcome(tmp_path)
    stored = np.load(arrays[2].removeprefix("data.test="))
    with torch.no_grad():
        # Contiguous and in batches as a data set's: convolutions round by the order of memory and the batch.
        images = torch.from_numpy(stored["images"]).permute(0, 3, 1, 2).contiguous()
        parts = images.tensor_split(-(-11 // batch_size))
        expected = torch.cat([load(checkpoint).bits_per_dim(part) for part in parts]).double().numpy()
    assert metrics["test/num_images"] == 11
    assert metrics["test/bits_per_dim"] == pytest.approx(expected.mean(), rel=1e-6)
    assert [int(row["index"]) for row in rows] == list(range(11))
    assert [int(row["label"]) for row in rows] == stored["labels"].tolist()
    np.testing.assert_allclose([float(row["bits_per_dim"]) for row in rows], expected, rtol=1e-6)
    for row in rows:
        channels = [float(row[f"bits_per_dim_{channel}"]) for channel in ("red", "green", "blue")]
        assert np.mean(channels) == pytest.approx(float(row["bits_per_dim"]), rel=1e-9)


@pytest.mark.parametrize("split", ["test", "val"])
def test_scores_are_gathered_while_they_are_on_the_devices(arrays, call, trained, tmp_path, monkeypatch, split):
    order = []
    gather, teardown = ImageScores.compute, Strategy.teardown
    monkeypatch.setattr(ImageScores, "compute", lambda self: order.append("gathered") or gather(self))
    monkeypatch.setattr(Strategy, "teardown", lambda self: order.append("torn down") or teardown(self))
    keys = ["task=evaluate", f"checkpoint={trained}/checkpoints/best.ckpt", f"task.split={split}"]
    call(*arrays, *keys, f"hydra.run.dir={tmp_path}")
    assert order == ["gathered", "torn down"]


def test_the_report_of_an_evaluation(arrays, call, trained, tmp_path, look, capsys):
    call(*arrays, "task=evaluate", f"checkpoint={trained}/checkpoints/best.ckpt", f"hydra.run.dir={tmp_path}")
    metrics, rows = outcome(tmp_path)
    assert capsys.readouterr().out.splitlines()[-1] == f"Run directory: {tmp_path}"
    seen = look(tmp_path / "report.html")
    assert all(picture["colours"] > 2 for picture in seen["pictures"])
    histogram, *images = (picture["alt"] for picture in seen["pictures"])
    assert histogram == "Histogram of bits/dim of an image of 11 images"
    order = [row["index"] for row in sorted(rows, key=lambda row: float(row["bits_per_dim"]))]
    assert images == [f"Image {i}" for i in [*order, *order[::-1]]]
    score, interval = metrics["test/bits_per_dim"], metrics["test/bits_per_dim_ci95"]
    told = [
        f"{score:.4f} ± {interval:.4f} bits/dim",
        "11 images of the test set",
        "Best images",
        "blue",
        "Label",
        "run.py",
    ]
    assert all(each in seen["text"] for each in told)


@pytest.mark.parametrize("label", [None, 2])
def test_maps_show_where_the_bits_go(arrays, call, classes, tmp_path, look, label):
    """Of the two best and the two worst images, given what they were scored given; the mean map is over all of them."""
    keys = [
        "task=evaluate",
        f"checkpoint={classes}",
        "task.maps=2",
        *([] if label is None else [f"task.label={label}"]),
    ]
    call(*arrays, *keys, f"hydra.run.dir={tmp_path}")
    _, rows = outcome(tmp_path)
    order = [int(row["index"]) for row in sorted(rows, key=lambda row: float(row["bits_per_dim"]))]
    stored, maps = np.load(arrays[2].removeprefix("data.test=")), np.load(tmp_path / "maps.npz")
    assert maps["index"].tolist() == [*order[:2], *order[:-3:-1]]
    images = torch.from_numpy(stored["images"]).permute(0, 3, 1, 2)
    labels = torch.from_numpy(stored["labels"]) if label is None else torch.full((len(images),), label)
    with torch.no_grad():
        expected = load(classes).bits(images, labels).numpy()
    np.testing.assert_allclose(maps["maps"], expected[maps["index"]], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(maps["mean"], expected.mean(axis=0, dtype=np.float64), rtol=1e-5)
    if label is None:
        seen = look(tmp_path / "report.html")
        alts = [picture["alt"] for picture in seen["pictures"] if picture["colours"] > 20]
        assert {
            "bits/dim of the pixels of the best and the worst images",
            "Mean bits/dim of each position",
        } <= set(alts)
        assert "Where the bits go" in seen["text"] and seen["width"] <= 1100
    for name in ("maps.png", "mean_map.png"):
        with Image.open(tmp_path / name) as picture:
            assert len(picture.convert("RGB").getcolors(2**24)) > 20


@pytest.mark.slow
def test_two_processes_score_what_one_does(arrays, call, trained, tmp_path):
    keys = [*arrays, "task=evaluate", f"checkpoint={trained}/checkpoints/best.ckpt", "trainer.accelerator=cpu"]
    keys.append("task.maps=1")
    call(*keys, f"hydra.run.dir={tmp_path}/one")
    subprocess.run(
        [sys.executable, "run.py", *keys, "trainer.devices=2", "data.batch_size=3", f"hydra.run.dir={tmp_path}/two"],
        cwd=ROOT,
        check=True,
    )
    (one, rows_of_one), (two, rows_of_two) = outcome(tmp_path / "one"), outcome(tmp_path / "two")
    assert two.keys() == one.keys() and two == pytest.approx(one, rel=1e-6)
    assert [row["index"] for row in rows_of_two] == [row["index"] for row in rows_of_one]
    means = [np.load(tmp_path / run / "maps.npz")["mean"] for run in ("one", "two")]
    np.testing.assert_allclose(*means, rtol=1e-5)


def test_the_held_out_images_can_be_evaluated(arrays, call, trained, tmp_path):
    call(
        *arrays,
        "task=evaluate",
        "task.split=val",
        f"checkpoint={trained}/checkpoints/last.ckpt",
        f"hydra.run.dir={tmp_path}",
    )
    metrics, rows = outcome(tmp_path)
    assert metrics["val/num_images"] == len(rows) == 4
    expected = json.loads((trained / "metrics.json").read_text())["val/bits_per_dim"]
    assert metrics["val/bits_per_dim"] == pytest.approx(expected, rel=1e-6)
    training = json.loads((trained / "metrics.json").read_text())
    for name in ("val/nats_per_image", "val/bits_per_image"):
        assert metrics[name] == pytest.approx(training[name], rel=1e-6)


def test_the_summary_of_a_split():
    bits = np.arange(300) / 100
    values = summary("bits_per_dim", bits, 64)
    assert values["bits_per_dim"] == pytest.approx(1.495)
    assert values["bits_per_image"] == pytest.approx(64 * 1.495)
    assert values["nats_per_image"] == pytest.approx(64 * 1.495 * math.log(2))
    assert "nats_per_image" not in summary("bits_upper_bound", bits, 64)
    assert values["bits_per_dim_ci95"] == pytest.approx(1.96 * bits.std(ddof=1) / math.sqrt(300))
    assert values["bits_per_dim_original_protocol"] == pytest.approx(bits[:256].mean())
    assert "bits_per_dim_original_protocol" not in summary("bits_per_dim", bits[:256], 64)
    assert "bits_per_dim_original_protocol" not in summary("bits_per_dim", bits[:100], 64)


def test_a_single_image_has_no_interval(arrays, call, trained, tmp_path, capsys):
    test = np.load(arrays[2].removeprefix("data.test="))
    np.savez(tmp_path / "one.npz", images=test["images"][:1])
    keys = (*arrays[:2], f"data.test={tmp_path}/one.npz", "task=evaluate")
    call(*keys, f"checkpoint={trained}/checkpoints/best.ckpt", f"hydra.run.dir={tmp_path}/run")
    metrics, rows = outcome(tmp_path / "run")
    bits, dimensions = float(rows[0]["bits_per_dim"]), test["images"][0].size
    assert metrics == {
        "test/bits_per_dim": bits,
        "test/bits_per_image": pytest.approx(dimensions * bits),
        "test/nats_per_image": pytest.approx(dimensions * bits * math.log(2)),
        "test/num_images": 1,
    }
    assert "bits/dim over 1 image\n" in capsys.readouterr().out
    assert "mean over all 1 image of the test set." in (tmp_path / "run/report.html").read_text()


@pytest.mark.parametrize("override", ["seed=5", "data.seed=5", "data.val_size=6"])
def test_held_out_images_are_those_of_the_run(arrays, call, trained, tmp_path, override):
    keys = (*arrays, "task=evaluate", "task.split=val", f"checkpoint={trained}/checkpoints/last.ckpt")
    with pytest.raises(SystemExit, match=rf"{override} "):
        call(*keys, override, f"hydra.run.dir={tmp_path}")


@pytest.mark.parametrize("exported", [True, False])
def test_held_out_images_of_another_file_are_refused(arrays, call, trained, tmp_path, exported):
    checkpoint = trained / "checkpoints/last.ckpt"
    if exported:
        call("task=export", f"checkpoint={checkpoint}", f"hydra.run.dir={tmp_path}/exported")
        checkpoint = tmp_path / "exported"
    keys = (*arrays, "task=evaluate", "task.split=val", f"checkpoint={checkpoint}")
    train = dict(np.load(arrays[1].removeprefix("data.train=")))
    np.savez(tmp_path / "same.npz", **train)
    call(*keys, f"data.train={tmp_path}/same.npz", f"hydra.run.dir={tmp_path}/run")
    np.savez(tmp_path / "other.npz", **{**train, "images": train["images"][::-1]})
    with pytest.raises(SystemExit, match=r"^data.train=.*/other.npz .*held-out"):
        call(*keys, f"data.train={tmp_path}/other.npz", f"hydra.run.dir={tmp_path}/other")


def test_images_are_scored_in_float32(arrays, call, trained, tmp_path):
    keys = (*arrays, "task=evaluate", f"checkpoint={trained}/checkpoints/last.ckpt")
    with pytest.raises(SystemExit, match=r"trainer.precision=bf16-mixed"):
        call(*keys, "trainer.precision=bf16-mixed", f"hydra.run.dir={tmp_path}")


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize(
    "override",
    [
        *("fast_dev_run=true", "fast_dev_run=1", "overfit_batches=1", "overfit_batches=0.5"),
        *("limit_SPLIT_batches=1", "limit_SPLIT_batches=0", "limit_SPLIT_batches=0.5", "limit_SPLIT_batches=0.99"),
    ],
)
def test_a_split_is_scored_whole_or_not_at_all(arrays, call, trained, tmp_path, split, override):
    key = f"trainer.{override.replace('SPLIT', split)}"
    keys = (*arrays, "task=evaluate", f"checkpoint={trained}/checkpoints/last.ckpt", "data.batch_size=2")
    keys = (*keys, f"task.split={split}", key, f"hydra.run.dir={tmp_path}")
    if (split, override.partition("_")[0]) == ("test", "overfit"):  # which is about training and validation alone
        call(*keys)
        assert outcome(tmp_path)[0]["test/num_images"] == 11
    else:
        with pytest.raises(SystemExit, match=rf"^{key.partition('=')[0]}="):
            call(*keys)
        assert not (tmp_path / "metrics.json").exists()


@pytest.mark.parametrize("override", ["limit_test_batches=1.0", "limit_test_batches=6", "limit_test_batches=100"])
def test_what_shortens_no_split_is_let_pass(arrays, call, trained, tmp_path, override):
    keys = (*arrays, "task=evaluate", f"checkpoint={trained}/checkpoints/last.ckpt", "data.batch_size=2")
    call(*keys, f"trainer.{override}", f"hydra.run.dir={tmp_path}")
    assert outcome(tmp_path)[0]["test/num_images"] == 11
