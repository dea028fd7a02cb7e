"""How often a training step has the host wait for a GPU: reading a value there does, and so it is counted on a CPU.

With several processes, a barrier does too, and what they agree on by the hosts' own reductions.
"""

from functools import partial

import pytest
import torch.distributed as dist

from bench.gpu.waits import ReadsOfSteps
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
from tests.tasks.test_distributed import exit_codes_of_two
from tests.training.tiny import BATCHES_PER_EPOCH, Noise, fit, tiny_module

LOGGED = 5  # each step of which a multiple is


def reads_of(run_dir, module, counted, **more):
    module.model.image = ImageShape(1, 4, 4)  # of all levels, which are not checked
    callbacks = [
        *(ValidationImages(), SampleGrid(run_dir), RankedImages(), SkipLimit(run_dir), Throughput()),
        *(RunProgress(), History(f"val/{module.score_name}", run_dir), GracefulInterruption(run_dir, "again")),
    ]
    options = {"log_every_n_steps": LOGGED, "check_val_every_n_epoch": 4, "enable_progress_bar": True} | more
    fit(run_dir, counted, *callbacks, module=module, data=Noise(), max_steps=16, **options)
    return {step: count for step, count in counted.of_step.items() if step % LOGGED and step % BATCHES_PER_EPOCH}


def test_a_step_that_logs_nothing_waits_once(tmp_path):
    adam = tiny_module()
    muon = DensityEstimation(adam.model, optimizer=partial(Muon, lr=0.01))
    for name, module in {"adam": adam, "muon": muon}.items():
        within = reads_of(tmp_path / name, module, ReadsOfSteps())
        assert len(within) == 9 and set(within.values()) == {1}, within  # of whether a step is skipped


class CallsOfSteps(ReadsOfSteps):
    """What the ranks do together, as (name, whether the host goes on), by the public functions of torch.distributed."""

    def __init__(self, patch):
        super().__init__()
        self.calls, self.calls_of_step = [], {}
        for name in ("all_reduce", "broadcast", "barrier", "all_gather", "all_gather_object", "broadcast_object_list"):
            patch.setattr(dist, name, partial(self.call, name, getattr(dist, name)))

    def call(self, name, function, *args, **options):
        self.calls.append((name, options.get("async_op", False)))
        return function(*args, **options)

    def stop(self, trainer):
        super().stop(trainer)
        self.calls_of_step[trainer.global_step], self.calls = self.calls, []


def two_ranks_wait_for_each_other_in_the_gradient_alone(run_dir):
    with pytest.MonkeyPatch.context() as patch:
        counted = CallsOfSteps(patch)
        within = reads_of(run_dir, tiny_module(), counted, devices=2, strategy="ddp")
    assert len(within) == 9 and set(within.values()) == {1}, within
    # The score, which NCCL adds up on the GPU while the host goes on, and the requests to save or to stop.
    expected = [("all_reduce", False), ("all_reduce", True)]
    assert all(counted.calls_of_step[step] == expected for step in within), counted.calls_of_step


@pytest.mark.slow
def test_two_ranks_wait_for_each_other_in_the_gradient_alone(tmp_path):
    assert exit_codes_of_two(two_ranks_wait_for_each_other_in_the_gradient_alone, tmp_path) == [0, 0]
