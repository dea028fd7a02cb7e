"""Tasks of a model with several conditions: each is set as it is alone, and all of them together."""

import csv
import json

import numpy as np
import pytest
import torch

from pixelcnn import load
from tests.tasks.conditioned import COLUMNS, rng
from tests.tasks.conftest import TINY

CODES = rng.integers(0, 5, (11, 4, 2), dtype=np.int16)
SEVERAL = ("conditioning=[class,spatial,coarse]", "conditioning.coarse.num_features=2")


@pytest.fixture(scope="session")
def run(call, tmp_path_factory):
    """The checkpoint of a run of one step given labels, small maps and coarser codes; its data's keys."""
    folder = tmp_path_factory.mktemp("several")
    maps = COLUMNS["maps"][:, :, ::2, ::2]
    np.savez(folder / "data.npz", **{**COLUMNS, "maps": maps}, coarse=CODES, coarse_levels=6)
    keys = ("data=arrays", *(f"data.{split}={folder}/data.npz" for split in ("train", "test")))
    keys = (*keys, "data.batch_size=4", "data.val_size=3")
    call(*keys, *TINY, *SEVERAL, "trainer.max_steps=1", f"hydra.run.dir={folder}/run")
    return folder, f"checkpoint={folder}/run/checkpoints/last.ckpt", keys


def own(rows=slice(None)):
    return {
        "labels": torch.from_numpy(COLUMNS["labels"][rows]),
        "maps": torch.from_numpy(COLUMNS["maps"][rows, :, ::2, ::2]).float(),
        "coarse": torch.from_numpy(CODES[rows].astype(np.int64)),
    }


def images(rows=slice(None)):
    return torch.from_numpy(COLUMNS["images"][rows]).permute(0, 3, 1, 2).contiguous()


def opened(path):
    return load(path.removeprefix("checkpoint="))


def of_row(row, n, label=None):
    given = {key: one.expand(n, *one.shape[1:]) for key, one in own(slice(row, row + 1)).items()}
    return given if label is None else {**given, "labels": torch.full((n,), label)}


def test_the_checkpoint_knows_each_of_them(run):
    folder, path, _ = run
    model = opened(path)
    parts = model.description.conditioning.parts
    assert list(parts) == ["class", "spatial", "coarse"] and model.num_classes == 3
    assert parts["coarse"]["num_codes"] == 6 and parts["spatial"]["num_features"] == 2
    assert model.conditioning.features == 3 + 2 + 2
    assert "ClassLabels and Maps and CoarseCodes" in (folder / "run/report.html").read_text()


@pytest.mark.parametrize(("keys", "label"), [((), None), (("task.label=2",), 2)])
def test_samples_given_all_of_a_row_or_another_label(call, run, tmp_path, keys, label):
    folder, path, _ = run
    row = f"task.condition={folder}/data.npz:4"
    call("task=sample", path, row, *keys, "task.num_samples=2", "seed=3", f"hydra.run.dir={tmp_path}")
    found, condition = np.load(tmp_path / "samples.npz"), of_row(4, 2, label)
    drawn = opened(path).sample(2, condition, seed=3)
    np.testing.assert_array_equal(found["images"], drawn.permute(0, 2, 3, 1))
    for key, one in condition.items():
        np.testing.assert_array_equal(found[key], one)


def test_samples_of_each_class_given_the_others(call, run, tmp_path):
    folder, path, _ = run
    others = folder / "others.npz"
    np.savez(others, maps=own()["maps"].numpy(), coarse=CODES)
    rows = (f"task.condition={others}:4", "task.label=all", "task.num_samples=2")
    call("task=sample", path, *rows, f"hydra.run.dir={tmp_path}/all")
    assert np.load(tmp_path / "all/samples.npz")["labels"].tolist() == [0, 0, 1, 1, 2, 2]
    # Without a label the classes come in turn.
    call("task=sample", path, f"task.condition={others}:4", "task.num_samples=4", f"hydra.run.dir={tmp_path}/turns")
    assert np.load(tmp_path / "turns/samples.npz")["labels"].tolist() == [0, 1, 2, 0]
    with pytest.raises(
        SystemExit, match=r"\[class,spatial,coarse\] needs a condition \(maps\).*task.condition=FILE:ROW"
    ):
        call("task=sample", path, "task.label=1", f"hydra.run.dir={tmp_path}/refused")


def test_an_interpolation_changes_the_first_that_is_named(call, run, tmp_path):
    folder, path, _ = run
    ends = ("task.label=0", f"task.condition={folder}/data.npz:4", "task.interpolate_to=2")
    steps = ("task.num_samples=3", "task.interpolate_rows=1", "seed=3")
    call("task=sample", path, *ends, *steps, f"hydra.run.dir={tmp_path}")
    found, model = np.load(tmp_path / "samples.npz"), opened(path)
    weights = torch.tensor([[1.0, 0, 0], [0.5, 0, 0.5], [0, 0, 1]])
    drawn = model.sample(3, {**of_row(4, 3), "labels": weights}, seed=3, numbers=[0, 0, 0])
    np.testing.assert_array_equal(found["images"], drawn.permute(0, 2, 3, 1))
    np.testing.assert_array_equal(found["label_weights"], weights)


def test_evaluation_given_their_own_or_one_for_all(call, run, tmp_path):
    folder, path, keys = run
    model = opened(path)
    fixed = {"own": [], "label": ["task.label=1"], "all": [f"task.condition={folder}/data.npz:4"]}
    expected = {"own": own(), "label": {**own(), "labels": torch.full((11,), 1)}, "all": of_row(4, 11)}
    for name, overrides in fixed.items():
        call("task=evaluate", path, *keys, *overrides, f"hydra.run.dir={tmp_path}/{name}")
        with torch.no_grad():
            mean = model.score(images(), expected[name]).double().mean()
        metrics = json.loads((tmp_path / name / "metrics.json").read_text())
        assert metrics["test/bits_per_dim"] == pytest.approx(float(mean), rel=1e-6)


def test_completions_given_their_own_and_one_for_all(call, run, tmp_path):
    _, path, keys = run
    options = ("task.mask=top:0.5", "task.num_images=2", "task.num_completions=2", "task.label=1")
    call("task=complete", path, *keys, *options, f"hydra.run.dir={tmp_path}")
    known = torch.arange(64).view(8, 8) < 32
    given = {key: one.repeat_interleave(2, dim=0) for key, one in own(slice(2)).items()}
    given["labels"] = torch.full((4,), 1)
    completed, _ = opened(path).complete(images(slice(2)).repeat_interleave(2, dim=0), known, given)
    np.testing.assert_array_equal(np.load(tmp_path / "completions.npz")["images"], completed.permute(0, 2, 3, 1))


def test_classification_given_the_others(call, run, tmp_path):
    _, path, keys = run
    call("task=classify", path, *keys, f"hydra.run.dir={tmp_path}")
    with torch.no_grad():
        others = {key: one for key, one in own().items() if key != "labels"}
        posterior = opened(path).classify(images(), condition=others).exp()
    with (tmp_path / "per_image.csv").open() as file:
        found = [[float(row[f"posterior_{k}"]) for k in range(3)] for row in csv.DictReader(file)]
    np.testing.assert_allclose(found, posterior, rtol=1e-3)  # float32 in other batches


def test_an_archive_has_the_integers_in_its_stream(call, run, tmp_path):
    _, path, keys = run
    call("task=compress", path, *keys, f"hydra.run.dir={tmp_path}/there")
    archive = f"task.file={tmp_path}/there/images.pxc"
    call("task=decompress", path, archive, f"hydra.run.dir={tmp_path}/back")
    found = np.load(tmp_path / "back/images.npz")
    np.testing.assert_array_equal(found["images"], COLUMNS["images"])
    np.testing.assert_array_equal(found["labels"], COLUMNS["labels"])
    np.testing.assert_array_equal(found["coarse"], CODES)


def test_a_run_is_resumed_and_revised(call, run, tmp_path):
    _, path, keys = run
    again = ("conditioning=[class,spatial,coarse]", "conditioning.class.num_classes=3", *TINY)
    call(*keys, *again, path, "trainer.max_steps=2", f"hydra.run.dir={tmp_path}/resumed")
    init_from = path.replace("checkpoint=", "init_from=")
    call(*keys, *TINY, init_from, "trainer.max_steps=1", f"hydra.run.dir={tmp_path}/revised")
    for name in ("resumed", "revised"):
        found = load(tmp_path / name)
        assert found.description == opened(path).description
    for override, words in (
        ("conditioning=class", r"conditioning=class disagrees .* has conditioning=\[class,spatial,coarse\]"),
        ("conditioning=[class,spatial]", r"conditioning=\[class,spatial\] disagrees"),
        ("conditioning.class.num_classes=4", r"conditioning.class.num_classes=4 disagrees .*num_classes=3"),
    ):
        with pytest.raises(SystemExit, match=words):
            call("task=sample", path, override, f"hydra.run.dir={tmp_path}/refused")
    for override, words in (
        ("conditioning=class", r"conditioning=class does not fit the weights .*\[class,spatial,coarse\]"),
        ("conditioning.coarse.num_features=3", r"conditioning=\[class,spatial,coarse\] does not fit"),
        ("conditioning.coarse.nothing=3", r"conditioning.coarse.nothing"),
    ):
        with pytest.raises(SystemExit, match=words):
            call(*keys, *TINY, init_from, override, "trainer.max_steps=1", f"hydra.run.dir={tmp_path}/refused")


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("conditioning=[class,class]",), r"conditioning=\[class,class\] has class twice"),
        (("conditioning=[class,none]",), r"conditioning=\[class,none\] has none"),
        (
            ("conditioning=[class,vector]", "conditioning.num_classes=3"),
            r"did you mean conditioning.class.num_classes\?",
        ),
        (("conditioning=[class,vector]", "conditioning.clas.num_classes=3"), r"conditioning.clas="),
        (
            ("conditioning=[class,vector]", "conditioning.class.num_clases=3"),
            r"conditioning.class.num_clases is not a key",
        ),
        (("conditioning=[]",), r"conditioning is empty"),
        (("conditioning=[class,vector]", "conditioning.class.num_classes=0"), r"conditioning.class.num_classes=0"),
        (("conditioning=[class,vector]", "conditioning.class.num_classes=2"), r"conditioning.class.num_classes=2 .* 3"),
    ],
)
def test_options_that_do_not_combine_are_refused(call, run, tmp_path, overrides, words):
    _, _, keys = run
    with pytest.raises(SystemExit, match=words):
        call(*keys, *TINY, *overrides, "trainer.max_steps=1", f"hydra.run.dir={tmp_path}")


def test_a_data_set_without_one_of_them_is_refused(call, run, file, tmp_path):
    _, path, keys = run
    keys = [key.partition("=")[0] + f"={file}" if key.startswith(("data.train", "data.test")) else key for key in keys]
    with pytest.raises(SystemExit, match="data has no coarse, which checkpoint="):
        call("task=evaluate", path, *keys, f"hydra.run.dir={tmp_path}")
    with pytest.raises(SystemExit, match="conditioning=coarse needs coarse"):
        call(*keys, *TINY, *SEVERAL, "trainer.max_steps=1", f"hydra.run.dir={tmp_path}")
