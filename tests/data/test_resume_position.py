"""An interrupted and resumed run trains on the batches of an uninterrupted one, in Lightning's own loops."""

import json
import logging

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from pixelcnn.errors import UserError

BATCHES = 5  # in an epoch: 20 training images by 4


class Recorder(LightningModule):
    """Remembers which images it was trained on."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.trained = []
        self.validated = []

    def training_step(self, batch, _):
        self.trained.append(batch["index"].tolist())
        return self.weight * batch["images"].float().mean()

    def validation_step(self, batch, _):
        if not self.trainer.sanity_checking:
            self.validated += batch["index"].tolist()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


class SaveIn(Callback):
    """Saves a checkpoint in one hook, once a given number of batches is trained."""

    def __init__(self, hook, batches, path):
        def save(trainer, *_):
            if trainer.fit_loop.epoch_loop.batch_progress.total.processed == batches and not trainer.sanity_checking:
                trainer.save_checkpoint(path)

        setattr(self, hook, save)


@pytest.fixture(autouse=True)
def quiet():
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)


def trainer_of(callbacks=(), **arguments):
    return Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        use_distributed_sampler=False,
        callbacks=list(callbacks),
        **arguments,
    )


def fit(data, path=None, **arguments):
    module = Recorder()
    trainer = trainer_of(**arguments)
    trainer.fit(module, datamodule=data, ckpt_path=path, weights_only=True)
    return module.trained, trainer


@pytest.mark.filterwarnings("error:You're resuming", "error:.*many workers")
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize(
    ("hook", "batches", "workers"),
    [
        ("on_train_batch_end", 3, 0),
        ("on_train_batch_end", 7, 2),
        ("on_train_batch_end", 10, 0),  # the last batch of an epoch, not yet validated
        ("on_validation_end", 10, 0),
        ("on_train_epoch_end", 5, 0),
        ("on_train_epoch_end", 10, 2),
    ],
)
def test_resumed_run_goes_on_exactly(numbered, tmp_path, hook, batches, workers, accumulate):
    path = tmp_path / "saved.ckpt"
    uninterrupted, _ = fit(
        numbered(num_workers=workers),
        max_epochs=4,
        accumulate_grad_batches=accumulate,
        callbacks=[SaveIn(hook, batches, path)],
    )
    assert len(uninterrupted) == 4 * BATCHES
    resumed, _ = fit(numbered(num_workers=workers), path, max_epochs=4, accumulate_grad_batches=accumulate)
    assert resumed == uninterrupted[batches:]


@pytest.mark.parametrize("end", [{"max_epochs": 2}, {"max_steps": 5}, {"max_steps": 7}])
@pytest.mark.parametrize("workers", [0, 2])
def test_finished_run_goes_on_exactly(numbered, tmp_path, end, workers):
    uninterrupted, _ = fit(numbered(), max_steps=4 * BATCHES)
    first, trainer = fit(numbered(num_workers=workers), **end)
    trainer.save_checkpoint(tmp_path / "saved.ckpt")
    resumed, _ = fit(numbered(num_workers=workers), tmp_path / "saved.ckpt", max_steps=4 * BATCHES)
    assert first + resumed == uninterrupted


def test_epochs_have_all_images_in_different_orders(numbered):
    trained, _ = fit(numbered(), max_epochs=3)
    epochs = [np.ravel(trained[start : start + BATCHES]).tolist() for start in range(0, len(trained), BATCHES)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(epochs[2]) == sorted(set(epochs[0]))
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_validation_in_mid_epoch_changes_nothing(numbered):
    assert fit(numbered(), max_epochs=3, val_check_interval=2)[0] == fit(numbered(), max_epochs=3)[0]


def test_short_epochs_go_on_through_the_images(numbered):
    assert fit(numbered(), max_epochs=5, limit_train_batches=3)[0] == fit(numbered(), max_epochs=3)[0]


def test_overfitting_repeats_its_batches(numbered):
    trained, _ = fit(numbered(), max_epochs=3, overfit_batches=2)
    assert trained == trained[:2] * 3 and trained[0] != trained[1]


class WriteRecord(Callback):
    """Leaves what each process saw in a file, since processes do not share memory."""

    def __init__(self, folder):
        self.folder = folder

    def on_fit_end(self, trainer, module):
        record = {"trained": module.trained, "validated": module.validated}
        (self.folder / f"{trainer.global_rank}.json").write_text(json.dumps(record))


def test_two_processes_share_every_batch_and_every_validation_image(numbered, tmp_path):
    alone, _ = fit(numbered(), max_epochs=1)
    fit(
        numbered(),
        max_epochs=1,
        devices=2,
        strategy="ddp_fork",
        callbacks=[WriteRecord(tmp_path)],
    )
    ranks = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in (0, 1)]
    together = [first + second for first, second in zip(*(rank["trained"] for rank in ranks), strict=True)]
    assert together == alone
    validated = [image for batch in numbered().val_dataloader() for image in batch["index"].tolist()]
    assert sorted(ranks[0]["validated"] + ranks[1]["validated"]) == validated


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"batch_size": 5}, "data.batch_size=5 is out of range: use a multiple of 2, the number of devices."),
        ({"val_size": 1}, "The val set's 1 images are fewer than trainer.devices=2: use fewer devices."),
    ],
)
def test_what_two_devices_cannot_share_is_refused(numbered, sizes, message):
    data = numbered(**sizes)
    data.trainer = trainer_of(devices=2, strategy="ddp_fork")
    with pytest.raises(UserError) as caught:
        data.val_dataloader()
        data.train_dataloader()
    assert str(caught.value) == message
