"""What a run leaves in Weights & Biases and in TensorBoard, read back from the disk."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import wandb
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from pixelcnn import load
from pixelcnn.pictures import grid
from tests.tasks.conftest import TINY
from tests.training.tiny import picture_in
from tests.training.wandb_log import OfflineRun

# 15 steps in 3 epochs of 20 images; samples and ranked images after the second and in the end.
RUN = (
    "seed=1",  # whose last step is not the best
    *(key for key in TINY if not key.startswith("logger")),
    "trainer.max_epochs=3",
    "trainer.log_every_n_steps=1",
    "callbacks.samples.every_n_epochs=2",
    "callbacks.ranked_images.num_images=3",
    "callbacks.ranked_images.every_n_epochs=2",
)
SCORES = ["train/bits_per_dim", "val/bits_per_dim", *(f"val/bits_per_dim_{c}" for c in ("red", "green", "blue"))]


@pytest.fixture(scope="module")
def run_dir(arrays, call, tmp_path_factory) -> Path:
    """The directory of a run that was logged offline."""
    directory = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_SILENT", "true")
        patch.delenv("WANDB_DATA_DIR", raising=False)
        call(*arrays, *RUN, "logger=wandb", f"hydra.run.dir={directory}")
        wandb.teardown()  # its service writes the log in the background
    return directory


@pytest.fixture(scope="module")
def logged(run_dir) -> OfflineRun:
    return OfflineRun(run_dir)


def validation_images(arrays) -> dict[int, tuple[torch.Tensor, int]]:
    """The training images that may be held out and their labels, by index."""
    file = np.load(next(key.removeprefix("data.train=") for key in arrays if key.startswith("data.train=")))
    images = torch.from_numpy(file["images"]).permute(0, 3, 1, 2)
    return dict(enumerate(zip(images, file["labels"].tolist(), strict=True)))


def test_curves(logged, run_dir):
    metrics = json.loads((run_dir / "metrics.json").read_text())
    train = [row for row in logged.history if "train/bits_per_dim" in row]
    assert [row["images"] for row in train] == [4 * (step + 1) for step in range(15)]
    assert [row["trainer/global_step"] for row in train] == list(range(15))
    for name in ("lr", "train/gradient_norm", "train/images_per_second"):
        assert all(row[name] > 0 for row in train)
    val = [row for row in logged.history if "val/bits_per_dim" in row]
    assert [row["images"] for row in val] == [20, 40, 60]
    assert val[-1]["val/bits_per_dim"] == metrics["val/bits_per_dim"]
    assert metrics["images"] == 60 and metrics["step"] == 15


def test_scores_stand_against_images_too(logged):
    for name in SCORES:
        rows = [row for row in logged.history if name in row]
        assert rows and all(row[f"by_images/{name}"] == row[name] and row["images"] > 0 for row in rows)
    steps, images = (
        {name: axis for name in names}
        for names, axis in (
            (SCORES, "trainer/global_step"),
            ([f"by_images/{name}" for name in SCORES], "images"),
        )
    )
    assert logged.minimised == steps | images


def test_summaries_are_the_minimum(logged):
    for name in SCORES:
        column = logged.column(name)
        assert logged.summary[name] == logged.summary[f"by_images/{name}"] == {"min": min(column)}
    assert min(logged.column("train/bits_per_dim")) != logged.column("train/bits_per_dim")[-1]


def test_scores_by_channel(logged, run_dir, arrays):
    """In bits per sub-pixel of the channel, so that their mean is the score."""
    parts = np.array([logged.column(name) for name in SCORES[2:]])
    np.testing.assert_allclose(parts.mean(axis=0), logged.column("val/bits_per_dim"), rtol=1e-12)
    (*_, rows) = logged.tables("val/images")
    held_out = validation_images(arrays)
    images = torch.stack([held_out[index][0] for index in {row["index"] for row in rows}])
    assert len(images) == 4
    with torch.no_grad():
        nats = -load(run_dir / "checkpoints/last.ckpt").log_prob_by_channel(images)
    expected = nats.mean(dim=0) / (np.log(2) * 64)
    np.testing.assert_allclose(parts[:, -1], expected, rtol=1e-5)


def test_configuration(logged):
    assert logged.config["data"]["batch_size"] == 4 and logged.config["model"]["num_filters"] == 4
    assert logged.config["run"]["num_parameters"] > 0


def test_samples_over_time(logged, run_dir):
    assert [caption for caption, _ in logged.pictures("samples")] == ["step 10, 40 images", "step 15, 60 images"]
    for (_, picture), step in zip(logged.pictures("samples"), (10, 15), strict=True):
        assert torch.equal(picture, picture_in(run_dir / f"samples/step=0000{step}.png"))
    assert [row["trainer/global_step"] for row in logged.history if "samples" in row] == [10, 15]


def test_best_and_worst_images(logged, run_dir, arrays):
    held_out = validation_images(arrays)
    tables = logged.tables("val/images")
    assert len(tables) == 2
    for table, best, worst in zip(tables, logged.pictures("val/best"), logged.pictures("val/worst"), strict=True):
        assert [row["rank"] for row in table] == [f"{rank} {k}" for rank in ("best", "worst") for k in (1, 2, 3)]
        for row in table:
            image, label = held_out[row["index"]]
            # Eightfold, to 64 pixels.
            assert torch.equal(row["image"], image.repeat_interleave(8, -1).repeat_interleave(8, -2))
            assert row["label"] == label
        for rows, (_, picture) in ((table[:3], best), (table[3:], worst)):
            assert torch.equal(picture, grid(torch.stack([held_out[row["index"]][0] for row in rows]), 256))
    scores = [row["bits_per_dim"] for row in tables[-1]]
    assert scores[:3] == sorted(set(scores))[:3] and scores[3:] == sorted(set(scores))[:0:-1]
    images = torch.stack([held_out[row["index"]][0] for row in tables[-1]])
    with torch.no_grad():
        expected = load(run_dir / "checkpoints/last.ckpt").bits_per_dim(images)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_checkpoints_are_artifacts(logged, run_dir):
    best, last = logged.artifacts("model")
    assert best.name == last.name == f"model-{logged.log.stem.removeprefix('run-')}"
    steps = {name: torch.load(run_dir / f"checkpoints/{name}.ckpt")["global_step"] for name in ("best", "last")}
    for artifact, name in ((best, "best"), (last, "last")):
        assert {name, f"step-{steps[name]}"} <= set(artifact.aliases)
        assert json.loads(artifact.metadata) == {"step": steps[name]}
        (entry,) = artifact.manifest.contents
        assert entry.path == f"{name}.ckpt"
        assert Path(entry.local_path).read_bytes() == (run_dir / "checkpoints" / entry.path).read_bytes()
    assert "latest" in last.aliases


def test_an_offline_run_is_whole_in_its_folder(logged):
    """Nothing that is to be uploaded lies elsewhere, where it would be forgotten or replaced."""
    for artifact in [*logged.artifacts("model"), *logged.artifacts("run_table")]:
        for entry in artifact.manifest.contents:
            assert Path(entry.local_path).is_relative_to(logged.log.parent)
    assert not [path for path in logged.log.parent.rglob("*.ckpt") if path.stat().st_nlink < 2]  # they take no space


@pytest.fixture(scope="module")
def tensorboard(arrays, call, tmp_path_factory) -> tuple[Path, EventAccumulator]:
    """The directory of the same run and what it has left for TensorBoard."""
    directory = tmp_path_factory.mktemp("tensorboard")
    call(*arrays, *RUN, "logger=tensorboard", f"hydra.run.dir={directory}")
    events = EventAccumulator(str(directory / "tensorboard/version_0"), {"images": 0, "scalars": 0, "tensors": 0})
    return directory, events.Reload()


def test_tensorboard_has_the_curves(tensorboard, logged):
    _, events = tensorboard
    for name in [*SCORES, "lr", "train/gradient_norm", "images"]:
        points = [(point.step, point.value) for point in events.Scalars(name)]
        rows = [row for row in logged.history if name in row and "samples" not in row and "val/images" not in row]
        assert [step for step, _ in points] == [row["trainer/global_step"] for row in rows]
        np.testing.assert_allclose([value for _, value in points], [row[name] for row in rows], rtol=1e-6)
    for name in SCORES:
        points = {point.step: point.value for point in events.Scalars(f"by_images/{name}")}
        rows = {row["images"]: row[name] for row in logged.history if name in row}
        assert points == pytest.approx(rows, rel=1e-6)
    assert len(events.Scalars("train/images_per_second")) == 15


def pixels(image) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(io.BytesIO(image.encoded_image_string)))).permute(2, 0, 1)


def test_tensorboard_has_the_pictures(tensorboard, logged):
    directory, events = tensorboard
    assert [image.step for image in events.Images("samples")] == [10, 15]
    for image in events.Images("samples"):
        assert torch.equal(pixels(image), picture_in(directory / f"samples/step=0000{image.step}.png"))
    for name in ("val/best", "val/worst"):
        pictures = [picture for _, picture in logged.pictures(name)]
        assert all(map(torch.equal, map(pixels, events.Images(name)), pictures)) and len(events.Images(name)) == 2
    text = events.Tensors("val/images/text_summary")[-1].tensor_proto.string_val[0].decode()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    (*_, expected) = logged.tables("val/images")
    assert rows[0] == ["rank", "index", "label", "bits_per_dim"]
    for row, of_table in zip(rows[2:], expected, strict=True):
        assert row[:3] == [of_table["rank"], str(of_table["index"]), str(of_table["label"])]
        assert float(row[3]) == pytest.approx(of_table["bits_per_dim"], rel=1e-6)


def test_tensorboard_has_the_hyper_parameters(tensorboard):
    directory, events = tensorboard
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    values = HParamsPluginData.FromString(content).session_start_info.hparams
    assert values["model/num_filters"].number_value == 4 and values["run/num_parameters"].number_value > 0
    content = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    names = [info.name.tag for info in HParamsPluginData.FromString(content).experiment.metric_infos]
    assert names == SCORES
    assert "num_filters: 4" in (directory / "tensorboard/version_0/hparams.yaml").read_text()


def test_without_tensorboard(arrays, call, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "pixelcnn.training.tensorboard_dashboard", raising=False)
    with pytest.raises(SystemExit, match=r"^logger=tensorboard .*pip install -r requirements-tensor"):
        call(*arrays, "logger=tensorboard", f"hydra.run.dir={tmp_path}/run")
    assert not (tmp_path / "run").exists()


def test_checkpoints_are_kept_at_the_end_or_never_at_all(arrays, call, tmp_path):
    with pytest.raises(SystemExit, match=r"logger.wandb.checkpoints=always .* end, never"):
        call(*arrays, "logger=wandb", "logger.wandb.checkpoints=always", f"hydra.run.dir={tmp_path}/run")
