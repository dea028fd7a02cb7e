"""Tasks given conditions: samples, completions and scores are those that the model gives itself."""

import csv
import json

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import load, pictures
from pixelcnn.scores import per_image
from pixelcnn.tasks.conditions import given_condition
from tests.tasks.conditioned import COLUMNS
from tests.tasks.conftest import TINY


@pytest.fixture(scope="session")
def checkpoint(file, call, tmp_path_factory):
    """The checkpoint of a run of one step with this conditioning, on that data set, and the data set's keys."""
    made = {}

    def checkpoint(kind: str) -> tuple[str, tuple[str, ...]]:
        keys = ("data=arrays", f"data.train={file}", f"data.test={file}", "data.batch_size=4", "data.val_size=3")
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            size = ("conditioning.code_size=2",) if kind == "encoder" else ()
            call(*keys, *TINY, f"conditioning={kind}", *size, "trainer.max_steps=1", f"hydra.run.dir={made[kind]}")
        return f"checkpoint={made[kind]}/checkpoints/last.ckpt", keys

    return checkpoint


@pytest.mark.parametrize("kind", ["class", "vector", "spatial", "encoder"])
def test_samples_given_a_row(call, checkpoint, file, tmp_path, kind):
    path, _ = checkpoint(kind)
    call("task=sample", path, f"task.condition={file}:5", "task.num_samples=2", "seed=3", f"hydra.run.dir={tmp_path}")
    found = np.load(tmp_path / "samples.npz")
    model = load(path.removeprefix("checkpoint="))
    condition = given_condition(model, 8, 8, condition=f"{file}:5").condition
    drawn = model.sample(2, condition.expand(2, *condition.shape[1:]), seed=3)
    np.testing.assert_array_equal(found["images"], drawn.permute(0, 2, 3, 1))
    name = {"class": "labels", "vector": "embeddings", "spatial": "maps", "encoder": "codes"}[kind]
    np.testing.assert_array_equal(found[name], condition.repeat_interleave(2, dim=0))
    # What is stored can be given again.
    again = given_condition(model, 8, 8, condition=f"{tmp_path}/samples.npz:1").condition
    assert torch.equal(again, condition)


@pytest.mark.parametrize("kind", ["vector", "spatial", "encoder"])
def test_samples_need_a_condition_that_cannot_be_made_up(call, checkpoint, tmp_path, kind):
    with pytest.raises(SystemExit, match=rf"conditioning={kind} .*task.condition=FILE:ROW"):
        call("task=sample", checkpoint(kind)[0], f"hydra.run.dir={tmp_path}")


@pytest.mark.parametrize(
    ("kind", "ends"),
    [
        ("class", ("task.label=0", "2")),
        ("vector", ("task.condition={file}:0", "{file}:1")),
        ("spatial", ("task.condition={file}:0", "{file}:1")),
        ("encoder", ("task.condition={file}:0", "{file}:1")),
        ("encoder", ("task.image={folder}/black.png", "{folder}/white.png")),
    ],
)
def test_interpolations_change_the_condition_alone(call, checkpoint, file, tmp_path, kind, ends):
    for name, value in (("black", 0), ("white", 255)):
        Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(tmp_path / f"{name}.png")
    path, _ = checkpoint(kind)
    first, last = (end.format(file=file, folder=tmp_path) for end in ends)
    steps = ("task.num_samples=3", "task.interpolate_rows=2", "seed=7")
    call("task=sample", path, first, f"task.interpolate_to={last}", *steps, f"hydra.run.dir={tmp_path}/run")
    found = np.load(tmp_path / "run/samples.npz")
    model = load(path.removeprefix("checkpoint="))

    key, _, value = first.removeprefix("task.").partition("=")
    a, b = (given_condition(model, 8, 8, **{key: int(end) if key == "label" else end}) for end in (value, last))
    h = [model.conditioning.encode(end.condition, 1, 8, 8).float() for end in (a, b)]
    way = torch.cat([h[0], (h[0] + h[1]) / 2, h[1]])
    drawn = torch.stack([model.sample(2, step.expand(2, *step.shape), seed=7) for step in way], dim=1)
    np.testing.assert_array_equal(found["images"], drawn.flatten(0, 1).permute(0, 2, 3, 1))
    name = {"class": "label_weights", "vector": "embeddings", "spatial": "maps", "encoder": "codes"}[kind]
    np.testing.assert_allclose(found[name], torch.cat([way, way]), rtol=1e-5, atol=1e-6)

    # Where they are known, the images whose codes are the ends stand at both ends of every row.
    if a.image is not None:
        drawn = torch.cat([a.image.expand(2, 1, 3, 8, 8), drawn, b.image.expand(2, 1, 3, 8, 8)], dim=1)
    expected = pictures.grid(drawn.flatten(0, 1), 256, columns=drawn.shape[1]).permute(1, 2, 0)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "run/interpolation.png")), expected)


@pytest.mark.parametrize("kind", ["class", "vector", "spatial", "encoder"])
def test_evaluation_given_a_condition_of_its_own_or_one_for_all(call, checkpoint, file, tmp_path, kind):
    path, keys = checkpoint(kind)
    model = load(path.removeprefix("checkpoint="))
    images = torch.from_numpy(COLUMNS["images"]).permute(0, 3, 1, 2).contiguous()
    fixed = given_condition(model, 8, 8, condition=f"{file}:5").condition
    own = {
        "class": torch.from_numpy(COLUMNS["labels"]),
        "vector": torch.from_numpy(COLUMNS["embeddings"]).float(),
        "spatial": torch.from_numpy(COLUMNS["maps"]).float(),
        "encoder": images,
    }[kind]
    name = "bits_given_code" if kind == "encoder" else "bits_per_dim"
    for overrides, condition in ([], own), ([f"task.condition={file}:5"], fixed.expand(11, *fixed.shape[1:])):
        run_dir = tmp_path / ("for_all" if overrides else "own")
        call("task=evaluate", path, *keys, *overrides, f"hydra.run.dir={run_dir}")
        with torch.no_grad():
            expected = model.score(images, condition).double().numpy()
        metrics = json.loads((run_dir / "metrics.json").read_text())
        assert metrics[f"test/{name}"] == pytest.approx(expected.mean(), rel=1e-6)
        of_images = {f"test/{key}" for key in per_image(name)}
        assert set(metrics) == {f"test/{name}", f"test/{name}_ci95", "test/num_images"} | of_images
        with (run_dir / "per_image.csv").open() as csv_file:
            rows = list(csv.DictReader(csv_file))
        np.testing.assert_allclose([float(row[name]) for row in rows], expected, rtol=1e-6)


@pytest.mark.parametrize("kind", ["vector", "spatial", "encoder"])
def test_completions_given_a_condition_of_their_own_or_one_for_all(call, checkpoint, file, tmp_path, kind):
    path, keys = checkpoint(kind)
    model = load(path.removeprefix("checkpoint="))
    images = torch.from_numpy(COLUMNS["images"][:3]).permute(0, 3, 1, 2).contiguous().repeat_interleave(2, dim=0)
    fixed = given_condition(model, 8, 8, condition=f"{file}:5").condition
    column = {"vector": "embeddings", "spatial": "maps"}.get(kind)
    own = images if column is None else torch.from_numpy(COLUMNS[column][:3]).float().repeat_interleave(2, dim=0)
    known = torch.zeros(8, 8, dtype=torch.bool)
    known[:4] = True
    options = ("task.mask=top:0.5", "task.num_images=3", "task.num_completions=2")
    for overrides, condition in ([], own), ([f"task.condition={file}:5"], fixed.expand(6, *fixed.shape[1:])):
        run_dir = tmp_path / ("for_all" if overrides else "own")
        call("task=complete", path, *keys, *options, *overrides, f"hydra.run.dir={run_dir}")
        found = np.load(run_dir / "completions.npz")
        completed, log_prob = model.complete(images, known, condition)
        np.testing.assert_array_equal(found["images"], completed.permute(0, 2, 3, 1))
        np.testing.assert_allclose(found["log_prob"], log_prob, rtol=1e-5)


@pytest.mark.parametrize("kind", ["class", "encoder"])
def test_completions_on_the_way_between_two_conditions(call, checkpoint, file, tmp_path, kind):
    path, keys = checkpoint(kind)
    model = load(path.removeprefix("checkpoint="))
    ends = ("task.condition={0}:1", "task.interpolate_to={0}:5")
    options = ("task.mask=top:0.5", "task.num_images=2", "task.num_completions=3", "seed=7")
    call("task=complete", path, *keys, *options, *(end.format(file) for end in ends), f"hydra.run.dir={tmp_path}")
    found = np.load(tmp_path / "completions.npz")
    a, b = (given_condition(model, 8, 8, condition=f"{file}:{row}").condition for row in (1, 5))
    h = [model.conditioning.encode(end, 1, 8, 8).float() for end in (a, b)]
    known, images = torch.arange(64).view(8, 8) < 32, torch.from_numpy(COLUMNS["images"][:2]).permute(0, 3, 1, 2)
    steps = torch.cat([h[0], (h[0] + h[1]) / 2, h[1]])
    # In one batch, as the task: in others a last digit can flip.
    given = images.repeat_interleave(3, dim=0), known, steps.repeat(2, 1)
    drawn, log_prob = model.complete(*given, seed=7, numbers=[0, 0, 0, 1, 1, 1])
    np.testing.assert_array_equal(found["images"], drawn.permute(0, 2, 3, 1))
    np.testing.assert_allclose(found["log_prob"], log_prob, rtol=1e-5)


def test_evaluation_on_the_way_between_two_conditions(call, checkpoint, file, tmp_path, capsys):
    path, keys = checkpoint("class")
    model = load(path.removeprefix("checkpoint="))
    way = ("task.label=0", "task.interpolate_to=2", "task.interpolate_at=0.25")
    call("task=evaluate", path, *keys, *way, f"hydra.run.dir={tmp_path}")
    images = torch.from_numpy(COLUMNS["images"]).permute(0, 3, 1, 2).contiguous()
    with torch.no_grad():
        expected = model.score(images, torch.tensor([[0.75, 0, 0.25]]).expand(11, 3)).double().mean()
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["test/bits_per_dim"] == pytest.approx(float(expected), rel=1e-6)
    assert "given the point 0.25 between task.label=0 and 2" in capsys.readouterr().out


def test_a_file_to_complete_is_its_own_condition_or_needs_one(call, checkpoint, file, tmp_path, capsys):
    Image.fromarray(COLUMNS["images"][2]).save(tmp_path / "one.png")
    options = ("task=complete", f"task.file={tmp_path}/one.png", "task.mask=top:0.5")
    call(*options, checkpoint("encoder")[0], f"hydra.run.dir={tmp_path}/run")
    assert "given the code of the whole original" in capsys.readouterr().out
    assert np.load(tmp_path / "run/completions.npz")["images"].shape == (4, 8, 8, 3)
    call(*options, checkpoint("vector")[0], f"task.condition={file}:2", f"hydra.run.dir={tmp_path}/given")
    call(*options, checkpoint("encoder")[0], f"task.image={tmp_path}/one.png", f"hydra.run.dir={tmp_path}/same")
    assert "whole original" not in capsys.readouterr().out
    same, own = (np.load(tmp_path / name / "completions.npz")["images"] for name in ("same", "run"))
    np.testing.assert_array_equal(same, own)
    with pytest.raises(SystemExit, match=r"task.file=.*one.png .*task.condition=FILE:ROW"):
        call(*options, checkpoint("vector")[0], f"hydra.run.dir={tmp_path}/refused")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("task=sample", "task.label=1", "task.condition=a.npz:0"), "task.label=1 and task.condition=a.npz:0 exclude"),
        (("task=sample", "task.condition=a.npz:0", "task.image=b.png"), "task.image=b.png exclude each other"),
        (("task=evaluate", "task.label=1", "task.image=b.png"), "exclude each other"),
        (("task=complete", "task.mask=top:0.5", "task.label=1", "task.condition=a.npz:0"), "exclude each other"),
        (("task=sample", "task.interpolate_to=3"), "task.interpolate_to=3 is only one endpoint"),
        (("task=sample", "task.label=all", "task.interpolate_to=3"), "task.interpolate_to=3 is only one endpoint"),
        (("task=sample", "task.label=1", "task.interpolate_to=3", "task.num_samples=1"), "task.num_samples=1 is out"),
        (("task=complete", "task.mask=top:0.5", "task.interpolate_to=3"), "task.interpolate_to=3 is only one endpoint"),
        (
            ("task=complete", "task.mask=top:0.5", "task.label=1", "task.interpolate_to=3", "task.num_completions=1"),
            "task.num_completions=1 is out of range: use at least 2 to interpolate",
        ),
        (("task=evaluate", "task.label=1", "task.interpolate_to=2", "task.interpolate_at=2"), "interpolate_at=2"),
        (("task=evaluate", "task.interpolate_at=0.3"), "task.interpolate_at=0.3 needs an endpoint"),
        (("task=sample", "task.interpolate_rows=0"), "task.interpolate_rows=0 is out of range"),
    ],
)
def test_conditions_that_contradict_each_other_are_refused_at_once(call, tmp_path, arguments, words):
    with pytest.raises(SystemExit, match=words):
        call(*arguments, "checkpoint=absent.ckpt", f"hydra.run.dir={tmp_path}")


def test_the_wrong_end_of_an_interpolation_is_named(call, checkpoint, tmp_path):
    for kind, first, last, words in (
        ("class", "task.label=1", 5, "task.interpolate_to=5 is not a class of this model: use 0 to 2"),
        ("none", "task.label=1", 2, "task.label=1 is for class-conditional models"),
    ):
        with pytest.raises(SystemExit, match=words):
            call("task=sample", checkpoint(kind)[0], first, f"task.interpolate_to={last}", f"hydra.run.dir={tmp_path}")
