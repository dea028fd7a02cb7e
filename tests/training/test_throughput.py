from types import SimpleNamespace

import pytest
from pytorch_lightning import Callback

from pixelcnn.training import throughput
from pixelcnn.training.arithmetic import training_flops
from pixelcnn.training.throughput import Throughput
from tests.training.tiny import fit


class Clock:
    now = 0.0

    def monotonic(self):
        return self.now


class Seconds(Callback):
    """Lets the clock go on, in training and in validation, and records what is logged."""

    def __init__(self, clock):
        self.clock = clock
        self.logged = []

    def on_train_batch_start(self, trainer, *args):
        self.clock.now += trainer.global_step + 1

    def on_validation_start(self, trainer, *args):
        self.clock.now += 1000

    def on_before_zero_grad(self, trainer, *args):
        self.logged.append(trainer.callback_metrics.get("train/images_per_second"))


def test_counts_the_time_of_training_since_the_last_log(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(throughput, "time", SimpleNamespace(monotonic=clock.monotonic))
    seconds = Seconds(clock)
    trainer = fit(tmp_path, Throughput(), seconds, max_steps=7, log_every_n_steps=3)
    rates = [rate.item() for rate in seconds.logged[1:]] + [trainer.callback_metrics["train/images_per_second"].item()]
    # batches of 8 that take 1, 2, 3, ... seconds; windows of steps 1 to 3, 4 (an epoch's end), 5 to 6, 7
    expected = [8 / 1, 16 / 3, 24 / 6, 8 / 4, 8 / 5, 16 / 11, 8 / 7]
    assert rates == pytest.approx(expected)
    flops = training_flops(trainer.lightning_module.model) * 8 / 7
    assert trainer.callback_metrics["train/tflops"].item() == pytest.approx(flops / 1e12)
    peak = flops / trainer.callback_metrics["train/share_of_matmul_peak"].item()
    assert 1e8 < peak < 1e15
