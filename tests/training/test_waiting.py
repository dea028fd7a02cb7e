"""How often a training step has the host wait for a GPU: reading a value there does, and so it is counted on a CPU."""

from functools import partial

import torch
from pytorch_lightning import Callback
from torch.utils._python_dispatch import TorchDispatchMode

from pixelcnn.image_shape import ImageShape
from pixelcnn.optim import Muon
from pixelcnn.training.dashboard import RankedImages
from pixelcnn.training.history import History
from pixelcnn.training.interruption import GracefulInterruption
from pixelcnn.training.module import DensityEstimation
from pixelcnn.training.progress import RunProgress
from pixelcnn.training.samples import SampleGrid
from pixelcnn.training.skip_limit import SkipLimit
from pixelcnn.training.throughput import Throughput
from pixelcnn.training.validation_images import ValidationImages
from tests.training.tiny import BATCHES_PER_EPOCH, Noise, fit, tiny_module

LOGGED = 5  # each step of which a multiple is


class Reads(TorchDispatchMode):
    """Counts item(), float(), bool() of a tensor."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += function is torch.ops.aten._local_scalar_dense.default
        return function(*args, **(kwargs or {}))


class ReadsOfSteps(Callback):
    """From the start of each training batch to that of the next, or to a validation."""

    def __init__(self):
        self.of_step = {}
        self.reads = None

    def on_train_batch_start(self, trainer, *args):
        self.stop(trainer)
        self.reads = Reads()
        self.reads.__enter__()

    def on_validation_start(self, trainer, *args):
        self.stop(trainer)

    def stop(self, trainer):
        if self.reads is not None:
            self.reads.__exit__(None, None, None)
            self.of_step[trainer.global_step] = self.reads.count
            self.reads = None


def reads_of(run_dir, module):
    counted = ReadsOfSteps()
    module.model.image = ImageShape(1, 4, 4)  # of all levels, which are not checked
    callbacks = [
        *(ValidationImages(), SampleGrid(run_dir), RankedImages(), SkipLimit(run_dir), Throughput()),
        *(RunProgress(), History(f"val/{module.score_name}", run_dir), GracefulInterruption(run_dir, "again")),
    ]
    options = {"log_every_n_steps": LOGGED, "check_val_every_n_epoch": 4, "enable_progress_bar": True}
    fit(run_dir, counted, *callbacks, module=module, data=Noise(), max_steps=16, **options)
    return counted.of_step


def test_a_step_that_logs_nothing_waits_once(tmp_path):
    adam = tiny_module()
    muon = DensityEstimation(adam.model, optimizer=partial(Muon, lr=0.01))
    for name, module in {"adam": adam, "muon": muon}.items():
        of_step = reads_of(tmp_path / name, module)
        within = {step: count for step, count in of_step.items() if step % LOGGED and step % BATCHES_PER_EPOCH}
        assert len(within) == 9 and set(within.values()) == {1}, of_step  # of whether a step is skipped
