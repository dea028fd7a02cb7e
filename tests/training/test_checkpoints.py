import math
import resource

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint, OnExceptionCheckpoint

from pixelcnn.errors import UserError
from pixelcnn.training.checkpoints import has_training_state, newest, require_directories, require_saved
from pixelcnn.training.skip_limit import SkipLimit
from tests.training.tiny import Validations, checkpoint_of, fit, read, tiny_module


def test_best_is_the_lowest_validation(tmp_path):
    validations = Validations()
    fit(tmp_path, validations, module=tiny_module(lr=0.1, lr_decay=1.0, seed=1), max_epochs=6)
    best = min(zip(validations.values, validations.steps, strict=True))
    assert best[1] not in (validations.steps[0], validations.steps[-1])  # else this shows nothing
    assert read(tmp_path, "best")["global_step"] == best[1]
    assert read(tmp_path, "last")["global_step"] == validations.steps[-1]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_files_keep_their_names(tmp_path):
    for steps in (2, 3):
        fit(tmp_path, max_steps=steps)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert read(tmp_path, "best")["global_step"] == 3


@pytest.mark.parametrize("same_directory", [True, False])
def test_best_of_a_resumed_run(tmp_path, same_directory):
    module = tiny_module(lr=1.0, lr_decay=1.0)  # it diverges
    validations = Validations()
    fit(tmp_path / "run", validations, module=module, max_epochs=4)
    before = read(tmp_path / "run", "best")["global_step"]
    directory = tmp_path / "run" if same_directory else tmp_path / "other"
    fit(directory, validations, module=module, checkpoint=checkpoint_of(tmp_path / "run"), max_epochs=5)
    assert validations.values[-1] > min(validations.values)  # else this shows nothing
    assert read(directory, "best")["global_step"] == (before if same_directory else validations.steps[-1])
    assert len(list((directory / "checkpoints").iterdir())) == 2


class FullDisk(Callback):
    """From step ``start`` to step ``end`` no file can have more than ``size`` bytes."""

    def __init__(self, start, end=None, size=1000):
        self.start, self.end, self.size = start, end, size

    def on_train_batch_start(self, trainer, *args):
        if trainer.global_step == self.start:
            limit(self.size)
        elif trainer.global_step == self.end:
            limit(resource.RLIM_INFINITY)


def limit(size):
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard if size == resource.RLIM_INFINITY else size, hard))


@pytest.fixture
def disk():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_previous_checkpoints(tmp_path, disk, caplog):
    trainer = fit(tmp_path, FullDisk(5), max_steps=8)
    limit(resource.RLIM_INFINITY)
    assert [read(tmp_path, name)["global_step"] for name in ("best", "last")] == [4, 4]
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    assert "last.ckpt could not be written at step 8 (File too large)" in caplog.text
    with pytest.raises(UserError, match=r"step 8 .*earlier"):
        require_saved(trainer)


def test_a_disk_with_room_again_has_all_checkpoints(tmp_path, disk):
    trainer = fit(tmp_path / "full", FullDisk(5, end=10), max_epochs=4)
    require_saved(trainer)
    fit(tmp_path / "roomy", max_epochs=4)
    for name in ("best", "last"):
        assert read(tmp_path / "full", name)["global_step"] == read(tmp_path / "roomy", name)["global_step"]


def test_the_best_is_what_is_on_the_disk(tmp_path, disk):
    """A lower score that could not be saved is not what later ones are compared with."""
    validations = Validations()
    module = tiny_module(lr=0.1, lr_decay=1.0, seed=1)
    scores = fit(tmp_path / "roomy", validations, module=module, max_epochs=6) and validations.values
    lowest = min(range(6), key=scores.__getitem__)
    assert 0 < lowest < 5  # else this shows nothing
    module = tiny_module(lr=0.1, lr_decay=1.0, seed=1)
    fit(tmp_path / "full", FullDisk(4 * lowest, end=4 * lowest + 4), module=module, max_epochs=6)
    others = [i for i in range(6) if i != lowest]
    assert read(tmp_path / "full", "best")["global_step"] == 4 * min(others, key=scores.__getitem__) + 4


def test_without_any_checkpoint_a_full_disk_ends_the_run(tmp_path, disk):
    with pytest.raises(UserError, match=r"best.ckpt .*step 4 .*no earlier"):
        fit(tmp_path, FullDisk(0), max_epochs=3)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_with_a_checkpoint_of_any_name_a_full_disk_does_not(tmp_path, disk, caplog):
    fit(tmp_path, max_steps=3)
    (tmp_path / "checkpoints/best.ckpt").unlink()
    fit(tmp_path, FullDisk(0), max_epochs=3)
    assert "best.ckpt could not be written at step 12" in caplog.text
    assert read(tmp_path)["global_step"] == 3


PARTS = ("current_model_state", "averaging_state", "optimizer_states", "lr_schedulers", "loops", "callbacks")


@pytest.mark.parametrize("part", [*PARTS, "global_step"])
def test_half_a_training_state_is_none(tmp_path, part, caplog):
    fit(tmp_path, max_steps=3)
    folder = tmp_path / "checkpoints"
    whole = read(tmp_path)
    assert has_training_state(whole)
    for wrong in ({key: value for key, value in whole.items() if key != part}, {**whole, part: "text"}):
        assert not has_training_state(wrong)
        torch.save(wrong, folder / "last.ckpt")
        assert newest(folder) == folder / "best.ckpt"


def test_the_newest_good_one_is_found(tmp_path, caplog):
    folder = tmp_path / "checkpoints"
    assert newest(folder) is None
    fit(tmp_path / "more", max_steps=6)
    fit(tmp_path, max_steps=3)
    assert newest(folder) == folder / "last.ckpt"
    (folder / "other.ckpt").write_bytes(checkpoint_of(tmp_path / "more").read_bytes())
    assert newest(folder) == folder / "other.ckpt"
    damaged = bytearray((folder / "other.ckpt").read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 100] = bytes(100)  # more than the padding between two entries
    (folder / "other.ckpt").write_bytes(damaged)
    assert newest(folder) == folder / "last.ckpt"
    assert "other.ckpt is damaged or not a checkpoint" in caplog.text
    (folder / "last.ckpt").write_bytes(b"")
    assert newest(folder) == folder / "best.ckpt"
    (folder / "best.ckpt").unlink()
    assert newest(folder) is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_no_checkpoint_has_a_number_that_is_not_finite(tmp_path, bad):
    class Spoils(Callback):
        def on_train_batch_end(self, trainer, pl_module, *args):
            if trainer.global_step == 7:
                next(pl_module.parameters()).data.view(-1)[0] = bad

    with pytest.raises(UserError, match=r"step 8.*init_from="):
        fit(tmp_path, SkipLimit(tmp_path, most=50), Spoils(), max_epochs=3)
    assert read(tmp_path)["global_step"] == 4


def test_checkpoints_of_a_callback_of_ones_own_that_cannot_be_written(tmp_path, disk, caplog):
    own = ModelCheckpoint(tmp_path / "own", "{step}", save_top_k=-1, every_n_train_steps=1)
    fit(tmp_path, FullDisk(5), own, max_steps=6)
    limit(resource.RLIM_INFINITY)
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == [f"step={step}.ckpt" for step in range(1, 6)]
    assert f"{tmp_path}/own/step=6.ckpt could not be written at step 6 (File too large)" in caplog.text


@pytest.mark.parametrize("kind", [ModelCheckpoint, OnExceptionCheckpoint])
def test_a_directory_of_checkpoints_that_cannot_be_written_is_refused(tmp_path, kind):
    (tmp_path / "file").touch()
    for directory in (f"{tmp_path}/file/own", "/proc"):
        own = kind(directory)
        with pytest.raises(UserError, match=f"{kind.__name__} .*dirpath={directory}"):
            require_directories(Trainer(logger=False, callbacks=[own], accelerator="cpu"))
