"""Wrong files, data sets, checkpoints and directories: each is refused in one sentence that names it and what to do.

Keys and values that are wrong by themselves are in ``tests.test_command_line``.
"""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import run
from pixelcnn.configuration.checks import check
from pixelcnn.errors import UserError
from tests.tasks.composing import composed, without_hydra
from tests.tasks.conftest import TINY
from tests.tasks.wrong_files import PICKLED, make_wrong_files

FOLDER = "/FOLDER/"  # in the rows below, the one with the wrong files
ARRAYS = "data=arrays data.test=/FOLDER/test.npz data.val_size=4 data.batch_size=4 data.train=/FOLDER/"
IMAGES = "data=images data.val_size=2 data.batch_size=2 data.root=/FOLDER/"
TRAIN = f"{ARRAYS}train.npz "
MODEL = "checkpoint=/FOLDER/none.ckpt "
EVALUATE = f"task=evaluate {TRAIN}{MODEL}"
SAMPLE = f"task=sample task.num_samples=1 {MODEL}"
OF_CLASS = "task=sample task.num_samples=2 checkpoint=/FOLDER/class.ckpt "
OF_VECTOR = "task=sample task.num_samples=2 checkpoint=/FOLDER/vector.ckpt "
COMPLETE = f"task=complete {TRAIN}{MODEL}task.num_images=1 task.num_completions=1 "
IMPORT = "task=import task.source=/FOLDER/"
LONG = "x" * 300  # more than a file may be called

# What is typed, what the message names, and the key or value that its advice names, if it names one.
REFUSED = {
    # .npz files
    "absent file": (f"{ARRAYS}absent.npz", "absent.npz", ""),
    "folder for a file": (f"{ARRAYS}grey", "/grey ", ""),
    "file for a folder": (f"{ARRAYS}file/a.npz", "file/a.npz", ""),
    "dangling link": (f"{ARRAYS}dangling.npz", "dangling.npz", ""),
    "pipe": (f"{ARRAYS}pipe.npz", "pipe.npz", ""),
    "no file": (TRAIN + "data.train=null", "data.train", "data.train=FILE.npz"),
    "empty .npz": (f"{ARRAYS}empty.npz", "empty.npz", ""),
    "truncated .npz": (f"{ARRAYS}truncated.npz", "truncated.npz", ""),
    "text for .npz": (f"{ARRAYS}text.npz", "text.npz", ""),
    "pickle for .npz": (f"{ARRAYS}pickle.npz", "pickle.npz", ""),
    "objects": (f"{ARRAYS}objects.npz", "objects.npz", ""),
    "texts": (f"{ARRAYS}texts.npz", "texts.npz", ""),
    "single array": (f"{ARRAYS}single.npy", "single.npy", "np.savez"),
    "no images": (f"{ARRAYS}no_images.npz", "no_images.npz", "np.savez"),
    "float images": (f"{ARRAYS}floats.npz", "floats.npz", "uint8"),
    "int16 images": (f"{ARRAYS}16_bit.npz", "16_bit.npz", "uint8"),
    "flat images": (f"{ARRAYS}flat.npz", "flat.npz", "(N, height, width"),
    "two channels": (f"{ARRAYS}two_channels.npz", "two_channels.npz", "1 or 3 channels"),
    "zero images": (f"{ARRAYS}none.npz", "none.npz", "(N, height, width"),
    "above the levels": (f"{ARRAYS}above_levels.npz", "above_levels.npz", "data.levels"),
    "above data.levels": (TRAIN + "data.levels=17", "train.npz", "data.levels"),
    "levels of a fraction": (f"{ARRAYS}levels.npz", "levels.npz", "2 to 256"),
    "labels below 0": (f"{ARRAYS}negative_labels.npz", "negative_labels.npz", "0"),
    "huge labels": (f"{ARRAYS}huge_labels.npz", "huge_labels.npz", "0"),
    "float labels": (f"{ARRAYS}float_labels.npz", "float_labels.npz", ""),
    "too few labels": (f"{ARRAYS}few_labels.npz", "few_labels.npz", ""),
    "NaN embeddings": (f"{ARRAYS}nan.npz", "nan.npz", "NaN or inf"),
    "integer embeddings": (f"{ARRAYS}integers.npz", "integers.npz", ""),
    "maps of another size": (f"{ARRAYS}small_maps.npz", "small_maps.npz", "8, 8"),
    "name too long for a file": (f"{ARRAYS}{LONG}.npz", "x.npz", ""),
    # folders of images
    "absent folder": (f"{IMAGES}absent", "/absent ", ""),
    "file for the folder": (f"{IMAGES}file", "/file ", ""),
    "no train": (f"{IMAGES}no_train", "no_train", ""),
    "folder without images": (f"{IMAGES}no_images", "no_images/train", ""),
    "truncated image": (f"{IMAGES}truncated", "truncated/train/5.png", ""),
    "image without its end": (f"{IMAGES}without_end", "without_end/train/5.png", ""),
    "empty image": (f"{IMAGES}empty", "empty/train/5.png", ""),
    "text for an image": (f"{IMAGES}text", "text/train/5.png", ""),
    "pipe for an image": (f"{IMAGES}pipe", "pipe/train/6.png", ""),
    "odd size": (f"{IMAGES}odd_size", "odd_size/train/5.png", ""),
    "image of another depth": (f"{IMAGES}16_bit", "16_bit/train/5.png", "alike"),
    "CMYK image": (f"{IMAGES}cmyk", "cmyk/train/5.jpg", "data.channels"),
    "RGBA image": (f"{IMAGES}rgba", "rgba/train/5.png", "data.channels"),
    "transparent image": (f"{IMAGES}transparent", "transparent/train/5.png", "data.channels"),
    "image of a kind that is not read": (f"{IMAGES}gif", "gif/train/6.gif", "PNG"),
    "animated image": (f"{IMAGES}animated", "animated/train/5.webp", ""),
    "grey among RGB": (f"{IMAGES}grey", "grey/train/5.png", "data.channels=1 or 3"),
    "loose beside classes": (f"{IMAGES}mixed", "mixed/train/0.png", ""),
    "name too long for a folder": (f"{IMAGES}{LONG}", LONG, ""),
    # data sets that do not fit
    "fewer images than a batch": (TRAIN + "data.batch_size=21", "data.batch_size=21", ""),
    "validation after the epoch": (TRAIN + "trainer.val_check_interval=6", "val_check_interval=6", ""),
    "all images held out": (TRAIN + "data.val_size=24", "data.val_size=24", ""),
    "negative seed": (TRAIN + "data.seed=-3", "data.seed=-3", "0"),
    "huge seed": (TRAIN + "data.seed=99999999999", "data.seed=99999999999", "4294967295"),
    "small images": (f"{ARRAYS}odd.npz model.num_stages=3", "7x9", "model.num_stages"),
    "grey test images": (TRAIN + "data.val_size=0 data.test=/FOLDER/grey.npz", "test images", ""),
    "small test images": (EVALUATE + "data.test=/FOLDER/odd.npz", "7x9", ""),
    "grey images to evaluate": (EVALUATE + "data.test=/FOLDER/grey.npz", "none.ckpt", "data.channels=3"),
    "no labels": (f"{ARRAYS}unlabelled.npz conditioning=class", "needs labels", "conditioning=none"),
    "too few classes": (TRAIN + "conditioning=class conditioning.num_classes=2", "num_classes=2", ""),
    "other features": (TRAIN + "conditioning=vector conditioning.num_features=5", "num_features=5", ""),
    "no maps": (TRAIN + "conditioning=spatial", "conditioning=spatial", "conditioning=none"),
    "labels out of range": (
        f"task=evaluate {TRAIN}data.test=/FOLDER/other_labels.npz checkpoint=/FOLDER/class.ckpt",
        "labels up to 9", "",
    ),
    "fewer features": (
        f"task=evaluate {TRAIN}data.test=/FOLDER/three_features.npz checkpoint=/FOLDER/vector.ckpt",
        "embeddings of 3", "",
    ),
    "no embeddings": (
        f"task=complete {TRAIN}data.test=/FOLDER/16x16.npz task.mask=top:0.5 checkpoint=/FOLDER/vector.ckpt",
        "data has no embeddings", "",
    ),
    "no ImageNet": ("data=small_imagenet data.root=/FOLDER/no_images", "no_images", "academictorrents"),
    # checkpoints
    "absent checkpoint": ("task=sample checkpoint=/FOLDER/absent.ckpt", "absent.ckpt", ""),
    "empty checkpoint": ("task=sample checkpoint=/FOLDER/empty.ckpt", "empty.ckpt", ""),
    "text for a checkpoint": ("task=sample checkpoint=/FOLDER/text.ckpt", "text.ckpt", ""),
    "truncated checkpoint": ("task=sample checkpoint=/FOLDER/truncated.ckpt", "truncated.ckpt", ""),
    "checkpoint that runs code": ("task=sample checkpoint=/FOLDER/pickle.ckpt", "pickle.ckpt", ""),
    "pipe for a checkpoint": ("task=sample checkpoint=/FOLDER/pipe.npz", "pipe.npz", ""),
    "another program's checkpoint": ("task=sample checkpoint=/FOLDER/other.ckpt", "other.ckpt", ""),
    "checkpoint of nothing": ("task=sample checkpoint=/FOLDER/no_description.ckpt", "no_description.ckpt", ""),
    "future checkpoint": ("task=sample checkpoint=/FOLDER/future.ckpt", "future.ckpt", ""),
    "folder without a model": ("task=sample checkpoint=/FOLDER/no_images", "no_images", ""),
    "cut export": ("task=sample checkpoint=/FOLDER/cut", "/cut ", ""),
    "damaged checkpoint to resume": (TRAIN + "checkpoint=/FOLDER/text.ckpt", "text.ckpt", ""),
    "damaged checkpoint to start from": (
        TRAIN + "init_from=/FOLDER/text.ckpt", "init_from=/FOLDER/text.ckpt", "",
    ),
    "no state to resume": (TRAIN + "checkpoint=/FOLDER/exported", "exported", "init_from="),
    "another architecture": (
        TRAIN + "init_from=/FOLDER/none.ckpt model.num_filters=6", "init_from=/FOLDER/none.ckpt", "",
    ),
    "another network": (EVALUATE + "model=gated_pixelcnn", "model=gated_pixelcnn", ""),
    "another width": (SAMPLE + "model.num_filters=6", "model.num_filters=6", ""),
    "name too long for a checkpoint": (f"task=sample checkpoint={LONG}", LONG, ""),
    # tasks
    "label without classes": (SAMPLE + "task.label=1", "task.label=1", ""),
    "label out of range": (OF_CLASS + "task.label=3", "task.label=3", "0 to 2"),
    "no condition": (OF_VECTOR, "conditioning=vector", "task.condition=FILE:ROW"),
    "row out of range": (OF_VECTOR + "task.condition=/FOLDER/train.npz:24", "train.npz:24", "0 to 23"),
    "no row": (OF_VECTOR + "task.condition=/FOLDER/train.npz", "train.npz", "FILE:ROW"),
    "row of NaN": (OF_VECTOR + "task.condition=/FOLDER/nan.npz:3", "nan.npz:3", ""),
    "row of a damaged file": (OF_VECTOR + "task.condition=/FOLDER/text.npz:0", "text.npz:0", ""),
    "interpolation to nowhere": (OF_CLASS + "task.label=0 task.interpolate_to=9", "interpolate_to=9", "0 to 2"),
    "mask of another size": (COMPLETE + "task.mask=/FOLDER/large_mask.png", "large_mask.png", ""),
    "text for a mask": (COMPLETE + "task.mask=/FOLDER/text.png", "text.png", "top:SHARE"),
    "misspelt mask": (COMPLETE + "task.mask=tpo:0.5", "tpo:0.5", "top:SHARE"),
    "text for an image to complete": (
        COMPLETE + "task.mask=top:0.5 task.file=/FOLDER/text.png", "text.png", "",
    ),
    "temperature of infinity": (SAMPLE + "task.mixture_temperature=inf", "mixture_temperature=inf", "finite"),
    "part of the test set": (EVALUATE + "trainer.limit_test_batches=1", "limit_test_batches=1", ""),
    "absent source": (f"{IMPORT}absent", "absent", ".npz"),
    "damaged source": (f"{IMPORT}truncated.npz", "truncated.npz", ""),
    "source that runs code": (f"{IMPORT}objects.npz", "objects.npz", ""),
    "source of something else": (f"{IMPORT}no_images.npz", "no_images.npz", ""),
    "name too long for a condition": (f"{OF_VECTOR}task.condition={LONG}.npz:0", LONG, ""),
    "name too long for a mask": (f"{COMPLETE}task.mask={LONG}", LONG, "top:SHARE"),
    "name too long for an image": (f"{COMPLETE}task.mask=top:0.5 task.file={LONG}", LONG, ""),
    "name too long for a source": (f"{IMPORT}{LONG}", LONG, ".npz"),
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("wrong")
    make_wrong_files(made)
    return made


def typed(row: str, folder: Path, *more: str) -> list[str]:
    """The arguments of ``row``, the last one of a key counting."""
    arguments = {argument.partition("=")[0]: argument for argument in row.replace(FOLDER, f"{folder}/").split()}
    tiny = () if "task=" in row or "init_from" in row or "checkpoint" in row else TINY
    tiny = (*tiny, "trainer.max_steps=1")  # should one not be refused
    return [*(key for key in tiny if key.partition("=")[0] not in arguments), *arguments.values(), *more]


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_files_are_refused_in_one_sentence(folder, tmp_path, name):
    row, named, remedy = REFUSED[name]
    arguments = typed(row, folder)
    with pytest.raises(UserError) as refusal:
        hand_over(arguments, tmp_path)
    sentence = str(refusal.value)
    assert named.replace(FOLDER, f"{folder}/") in sentence and remedy in sentence
    assert "\n" not in sentence and sentence[-1] in ".?)" and "allow_pickle" not in sentence
    assert ": " in sentence  # and what to do
    assert not (folder / PICKLED).exists()


def hand_over(arguments: list[str], run_dir: Path) -> None:
    """What ``run.py`` does with ``arguments`` once Hydra is set up, which takes the longest."""
    config = without_hydra(composed(arguments))
    task = check(config)
    import_module(task.module()).run(config, run_dir, arguments)


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (TRAIN, "resume that run with checkpoint="),
        (f"{TRAIN}checkpoint=/FOLDER/none.ckpt", "already holds a run"),
        (EVALUATE, "already holds a run"),
        (SAMPLE, "choose another directory."),
        (f"task=export {MODEL}", "choose another directory."),
        (f"{TRAIN}checkpoint=/RUN/checkpoints/last.ckpt optim.lr=3", "disagrees with checkpoint="),
        (f"{TRAIN}checkpoint=/RUN/checkpoints/last.ckpt seed=-1", "seed=-1 is out of range"),
    ],
)
def test_a_refused_run_changes_nothing_in_the_directory_of_another(call, folder, finished, row, told):
    before = contents(finished)
    with pytest.raises(SystemExit, match=told):
        call(*typed(row.replace("/RUN", str(finished)), folder, f"hydra.run.dir={finished}"))
    assert {path: before[path] for path in before if "run.log" not in path}.items() <= contents(finished).items()


def test_a_run_is_gone_on_with_in_its_directory_and_a_sweep_is_not_made_over(call, folder, tmp_path):
    keys = typed(TRAIN, folder, "trainer.max_steps=1", "callbacks.samples=null")
    call("-m", *keys, f"hydra.sweep.dir={tmp_path}")
    with pytest.raises(SystemExit, match=f"^hydra.sweep.dir={tmp_path}/0 "):
        call("-m", *keys, f"hydra.sweep.dir={tmp_path}")
    call(*keys, "trainer.max_steps=2", f"checkpoint={tmp_path}/0/checkpoints/last.ckpt", f"hydra.run.dir={tmp_path}/0")


@pytest.fixture(scope="module")
def finished(call, folder, tmp_path_factory) -> Path:
    """The directory of a run of one step."""
    directory = tmp_path_factory.mktemp("finished")
    call(*typed(TRAIN, folder, "trainer.max_steps=1", "callbacks.samples=null", f"hydra.run.dir={directory}"))
    return directory


@pytest.mark.parametrize(
    "row",
    [
        f"data=small_imagenet data.root=/FOLDER/{LONG}",
        f"data=small_imagenet data.root=/FOLDER data.converted=/FOLDER/{LONG}",
        f"data=small_imagenet data.variant=chrabaszcz data.root=/FOLDER/{LONG}",
        f"data=cifar10 data.root=/FOLDER/{LONG}",
        "data=small_imagenet data.root=/FOLDER/ring",
    ],
)
def test_a_path_that_the_file_system_refuses_is_named(call, folder, tmp_path, row):
    (folder / "ring").unlink(missing_ok=True)
    (folder / "ring").symlink_to("ring")
    with pytest.raises(SystemExit) as refusal:
        call(*typed(row, folder, f"hydra.run.dir={tmp_path}"))
    assert str(folder) in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.slow
def test_a_process_says_one_line_and_fails(folder, tmp_path):
    row, named, remedy = REFUSED["truncated .npz"]
    script = Path(run.__file__)
    command = [sys.executable, script.name, *typed(row, folder, f"hydra.run.dir={tmp_path}")]
    outcome = subprocess.run(command, cwd=script.parent, capture_output=True, text=True)
    assert outcome.returncode == 1 and outcome.stderr.count("\n") == 1
    assert named in outcome.stderr and remedy in outcome.stderr


def test_tracebacks_are_shown_on_request(call, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    row, named, _ = REFUSED["truncated .npz"]
    with pytest.raises(UserError, match=named):  # Python prints it with its traceback
        call(*typed(row, folder, f"hydra.run.dir={tmp_path}"))
