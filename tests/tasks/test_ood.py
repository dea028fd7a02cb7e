"""``task=ood``: what it writes is what its scores are, and what does not fit is refused."""

import csv
import json
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import UserError, load, ood
from pixelcnn.checkpoint import save
from pixelcnn.conditioning import ClassLabels
from tests.conftest import tiny_model
from tests.ood.test_detection import mann_whitney
from tests.tasks.test_refusals import hand_over

pytestmark = pytest.mark.drawn

COUNTS = {"in": 22, "flat": 9, "noise": 8}


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A model, a background, and images: like those of training, flat and noisy; folder of the files."""
    folder = tmp_path_factory.mktemp("ood")
    rng = np.random.default_rng(0)
    images = {
        "train": rng.integers(60, 120, (30, 8, 8, 3)),
        "in": rng.integers(60, 120, (COUNTS["in"], 8, 8, 3)),
        "flat": np.broadcast_to(rng.integers(0, 256, (COUNTS["flat"], 1, 1, 3)), (COUNTS["flat"], 8, 8, 3)),
        "noise": rng.integers(0, 256, (COUNTS["noise"], 8, 8, 3)),
        "grey": rng.integers(0, 256, (8, 8, 8, 1)),
        "large": rng.integers(0, 256, (8, 12, 8, 3)),
    }
    for name, one in images.items():
        np.savez(folder / f"{name}.npz", images=one.astype(np.uint8))
    np.savez(folder / "few_levels.npz", images=images["noise"].astype(np.uint8) // 16, levels=np.array(16))
    for split in ("train", "test"):
        (folder / split).mkdir()
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, (16, 16), np.uint8)).save(folder / split / f"{i}.png")
    for seed, name in enumerate(("model", "background")):
        save(tiny_model(seed=seed), folder / f"{name}.ckpt")
    return folder


def arguments(folder, *more: str) -> list[str]:
    keys = (f"checkpoint={folder}/model.ckpt", "data=arrays", f"data.train={folder}/train.npz", "data.val_size=5")
    small = ("data.batch_size=7", "task.num_maps=1", "task.resamples=5", "trainer.accelerator=cpu")
    return ["task=ood", *keys, f"data.test={folder}/in.npz", *small, *more]


def against(folder, name: str, where: str = "against") -> list[str]:
    plus = "+" if "." in where else ""
    return [f"{plus}data@{where}=arrays", f"{where}.test={folder}/{name}.npz"]


@pytest.fixture(scope="module")
def two_sets(material, tmp_path_factory):
    """The directory of a run with every score against two sets."""
    directory = tmp_path_factory.mktemp("two_sets")
    scores = "scores=[likelihood,complexity,typicality,typicality_of_batches,ratio,second]"
    keys = ["scores.typicality_of_batches.batch=4", "+scores.constant._target_=tests.tasks.test_ood.constant"]
    keys += [f"scores.{name}.background={material}/background.ckpt" for name in ("ratio", "second")]
    sets = [*against(material, "flat", "against.flat"), *against(material, "noise", "against.noise")]
    hand_over(arguments(material, *sets, scores, *keys), directory)
    return directory


def constant(model, images, height: float = 2.0):
    """A score of a user's own, without a map."""
    return torch.full((len(images),), height)


def columns(directory) -> dict[str, dict[str, np.ndarray]]:
    """The scores of ``scores.csv`` by score and set, NaN where they are empty."""
    with (directory / "scores.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("set", "index")]
    sets = dict.fromkeys(row["set"] for row in rows)
    for of in sets:
        assert [int(row["index"]) for row in rows if row["set"] == of] == list(range(COUNTS.get(of, COUNTS["flat"])))
    return {n: {of: np.array([float(r[n] or "nan") for r in rows if r["set"] == of]) for of in sets} for n in names}


def test_metrics_are_those_of_the_scores_in_the_table(two_sets):
    table, metrics = columns(two_sets), json.loads((two_sets / "metrics.json").read_text())
    assert [*table] == [
        "likelihood",
        "complexity",
        "typicality",
        "typicality_of_batches",
        "ratio",
        "second",
        "constant",
    ]
    assert {of: metrics[f"num_images/{of}"] for of in COUNTS} == COUNTS
    for score, sets in table.items():
        assert {of: len(one) for of, one in sets.items()} == COUNTS
        inside, *_ = finite = [one[~np.isnan(one)] for one in sets.values()]
        for of, outside in zip(("flat", "noise"), finite[1:], strict=True):
            assert metrics[f"auroc/{score}/{of}"] == pytest.approx(mann_whitney(inside, outside), abs=1e-6)
            for measure in ("auroc", "aupr", "fpr95"):
                low, value, high = (metrics[f"{measure}{end}/{score}/{of}"] for end in ("_low", "", "_high"))
                assert 0 <= low <= high <= 1 and 0 <= value <= 1
    assert metrics["auroc/constant/flat"] == 0.5


def test_scores_in_the_table_are_those_of_the_functions(material, two_sets):
    table = columns(two_sets)
    model, background = load(material / "model.ckpt"), load(material / "background.ckpt")
    with np.load(material / "flat.npz") as file:
        images = torch.from_numpy(file["images"]).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = {
            "likelihood": model.bits_per_dim(images),
            "complexity": model.bits_per_dim(images) - ood.codec_bits(images) / images[0].numel(),
            "ratio": model.bits_per_dim(images) - background.bits_per_dim(images),
        }
    for name, values in expected.items():
        np.testing.assert_allclose(table[name]["flat"], values, atol=1e-4)
    np.testing.assert_array_equal(table["second"]["flat"], table["ratio"]["flat"])


def test_a_batch_has_one_score_and_what_is_left_over_none(two_sets):
    table = columns(two_sets)
    for of, count in COUNTS.items():
        grouped = table["typicality_of_batches"][of]
        values, times = np.unique(grouped[~np.isnan(grouped)], return_counts=True)
        assert set(times) == {4} and len(values) == count // 4
        assert np.isnan(grouped).sum() == count % 4
        assert (table["typicality"][of] >= 0).all()


def test_one_set_has_short_names_and_a_part_of_the_images_is_evenly_spaced(material, tmp_path):
    keys = [*against(material, "noise"), "scores=likelihood", "task.num_images=4"]
    hand_over(arguments(material, *keys), tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert {"auroc/likelihood", "fpr95/likelihood", "aupr_low/likelihood", "num_images/out"} <= metrics.keys()
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = [(row["set"], int(row["index"])) for row in csv.DictReader(file)]
    assert rows == [*(("in", k) for k in (0, 7, 14, 21)), *(("out", k) for k in (0, 2, 4, 7))]


def test_the_report_and_the_curves_are_pictures(two_sets, look):
    with Image.open(two_sets / "roc.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10
    seen = look(two_sets / "report.html")
    alts = [picture["alt"] for picture in seen["pictures"]]
    # ROC; of each score a histogram; the maps of each that has them
    assert len(alts) == 1 + 7 + 6
    for picture in seen["pictures"]:
        assert min(picture["shown"]) >= 20 and picture["colours"] > 2, picture["alt"]
    for text in ("FPR at 95 % TPR", "flat: Arrays", "Most surprising by ratio", "Histogram of constant"):
        assert text in seen["text"]
    assert "Most surprising by constant" not in seen["text"] and seen["width"] <= 1100


NOISE = "data@against=arrays against.test=noise.npz"
REFUSED = {
    "grey": ("data@against=arrays against.test=grey.npz", "has no key that converts their channels, use another"),
    "large": ("data@against=arrays against.test=large.npz", "12x8 .* has no key that converts their size"),
    "few levels": ("data@against=arrays against.test=few_levels.npz", "16 levels.*converts their levels"),
    "other images": ("data@against=images against.root=.", "convert them with against.channels=3 against.size=8"),
    "of several": ("+data@against.a=images against.a.root=.", "with against.a.channels=3 against.a.size=8"),
    "absent": ("data@against=arrays against.test=absent.npz", "absent.npz"),
    "no file": ("data@against=arrays", "against.test.*=FILE.npz"),
    "its own name": ("+data@against.in=arrays against.in.test=in.npz", "data@against.in has the name of the set in"),
    "range": (f"{NOISE} against.mutate=2", "against.mutate=2"),
    "unknown key": ("data@against=arrays against.tst=noise.npz", "against.tst is not a key of .*against.test"),
    "unknown key of several": ("+data@against.a=arrays against.a.tst=b", "against.a.tst is not a key of .*a.test"),
    "none": ("", "data@against is missing: task=ood needs data@against=NAME"),
    "no scores": ("data@against=digits scores=[]", "scores is empty"),
    "codec": (f"{NOISE} scores.complexity.codecs=[gif]", "scores.complexity.codecs=gif"),
    "batch": (f"{NOISE} scores.typicality.batch=9", "scores.typicality.batch=9 .*use at most 8, the"),
    "batch of none": (f"{NOISE} scores.typicality.batch=0", "scores.typicality.batch=0"),
    "label": (f"{NOISE} task.label=1", "task.label=1"),
    "resamples": ("data@against=digits task.resamples=0", "task.resamples=0"),
    "no images": ("data@against=digits task.num_images=0", "task.num_images=0"),
    "absent background": (
        f"{NOISE} scores=ratio scores.ratio.background=absent", "^scores.ratio.background=absent does not exist",
    ),
    "no background": ("data@against=digits scores=ratio", "scores.ratio.background has no value"),
    "other background": (
        f"{NOISE} scores=ratio scores.ratio.background=digits",
        "scores.ratio.background=digits is a model of images with 1 channels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused_with_the_key(material, tmp_path, monkeypatch, name):
    given, told = REFUSED[name]
    monkeypatch.chdir(material)
    with pytest.raises(UserError, match=told) as refusal:
        hand_over(arguments(material, *given.split()), tmp_path)
    assert "\n" not in str(refusal.value) and not list(tmp_path.iterdir())


def test_other_tasks_refuse_a_set_to_compare_with(material, tmp_path):
    with pytest.raises(UserError, match="data@against is for task=ood"):
        hand_over(["task=evaluate", f"checkpoint={material}/model.ckpt", *against(material, "noise")], tmp_path)


def test_a_conditional_model_needs_a_condition_for_all(material, tmp_path):
    save(tiny_model(conditioning=partial(ClassLabels, num_classes=3)), tmp_path / "class.ckpt")
    keys = arguments(material, *against(material, "noise"), f"checkpoint={tmp_path}/class.ckpt", "scores=[likelihood]")
    with pytest.raises(UserError, match=r"class.ckpt is conditioned on labels.*task.label"):
        hand_over(keys, tmp_path / "run")
    (tmp_path / "run").mkdir()
    hand_over([*keys, "task.label=2"], tmp_path / "run")
    model = load(tmp_path / "class.ckpt")
    with np.load(material / "noise.npz") as file:
        images = torch.from_numpy(file["images"]).permute(0, 3, 1, 2)
    with (tmp_path / "run" / "scores.csv").open(newline="") as file:
        found = [float(row["likelihood"]) for row in csv.DictReader(file) if row["set"] == "out"]
    with torch.no_grad():
        np.testing.assert_allclose(found, model.bits_per_dim(images, torch.full((8,), 2)), atol=1e-5)
