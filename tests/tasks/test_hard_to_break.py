"""Data and options that bring out numbers which are not finite: none gets into what a run leaves."""

import json
import math
import re

import numpy as np
import pytest
import torch

from pixelcnn.checkpoint import read
from pixelcnn.training.reporting import AS_GOOD_AS_NOTHING
from tests.tasks.conftest import TINY


def images(kind: str, n: int) -> np.ndarray:
    rng = np.random.default_rng(n)
    return {
        "black": np.zeros((n, 8, 8, 3), np.uint8),
        "white": np.full((n, 8, 8, 3), 255, np.uint8),
        "the same": np.repeat(rng.integers(0, 256, (1, 8, 8, 3), dtype=np.uint8), n, axis=0),
        "flat": np.broadcast_to(rng.integers(0, 256, (n, 1, 1, 1), dtype=np.uint8), (n, 8, 8, 3)),
        "black and white": (255 * rng.integers(0, 2, (n, 8, 8, 3))).astype(np.uint8),
    }[kind]


def assert_finite(path) -> None:
    def visit(entry, name):
        if isinstance(entry, torch.Tensor) and entry.is_floating_point():
            assert entry.isfinite().all(), name
        elif isinstance(entry, dict):
            for key, value in entry.items():
                visit(value, f"{name}.{key}")
        elif isinstance(entry, list | tuple):
            for i, value in enumerate(entry):
                visit(value, f"{name}.{i}")

    checkpoint = read(path)
    for part in ("state_dict", "current_model_state", "optimizer_states", "averaging_state"):
        visit(checkpoint[part], part)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "likelihood"),
    [
        *((kind, "discretized_logistic_mixture") for kind in ("black", "white", "the same", "flat", "black and white")),
        ("black", "categorical"),
        ("white", "logistic_mixture"),
    ],
)
def test_data_without_variation(call, tmp_path, kind, likelihood):
    for split, n in (("train", 24), ("test", 6)):
        np.savez(tmp_path / f"{split}.npz", images=images(kind, n))
    data = ("data=arrays", f"data.train={tmp_path}/train.npz", f"data.test={tmp_path}/test.npz")
    tiny = [key for key in TINY if likelihood != "categorical" or "num_mixtures" not in key]
    steps = ("data.batch_size=4", "data.val_size=4", "trainer.max_steps=4", f"likelihood={likelihood}")
    call(*data, *steps, *tiny, f"hydra.run.dir={tmp_path}/run")
    for name in ("last", "best"):
        assert_finite(tmp_path / f"run/checkpoints/{name}.ckpt")
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert all(map(math.isfinite, metrics.values())) and metrics["train/skipped_steps"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("factor", [1e3, 1e12, 1e38])
def test_a_learning_rate_far_too_large(arrays, call, tmp_path, factor):
    """It ends as any run, or stops with advice; every checkpoint can be used."""
    rate = f"optim.lr={0.001 * factor}"
    often = (
        "callbacks.interruption.every_n_steps=10",
        "callbacks.skip_limit.most=15",
        "trainer.check_val_every_n_epoch=5",
    )
    keys = (*arrays, *TINY, *often, rate, "trainer.max_steps=60")
    try:
        call(*keys, f"hydra.run.dir={tmp_path}")
    except SystemExit as end:
        assert re.search(r"(were skipped|are not finite after step).*: start again.* with a lower optim.lr", str(end))
    else:
        assert math.isfinite(json.loads((tmp_path / "metrics.json").read_text())["val/bits_per_dim"])
    for path in (tmp_path / "checkpoints").glob("*.ckpt"):
        assert_finite(path)


@pytest.mark.parametrize(("rate", "told"), [(10.0, True), (0.001, False)])
def test_a_run_that_has_come_to_less_than_nothing_says_so(call, tmp_path, caplog, rate, told):
    for split, n in (("train", 24), ("test", 6)):
        np.savez(tmp_path / f"{split}.npz", images=images("black", n))
    data = ("data=arrays", f"data.train={tmp_path}/train.npz", f"data.test={tmp_path}/test.npz", "data.batch_size=4")
    steps = ("data.val_size=4", "trainer.max_steps=4", "ema.decay=0", f"optim.lr={rate}")
    call(*data, *steps, *TINY, "initialisation.enabled=false", f"hydra.run.dir={tmp_path}/run")
    assert ("or a lower optim.lr." in caplog.text) == told
    assert (AS_GOOD_AS_NOTHING in (tmp_path / "run/report.html").read_text()) == told


def test_too_many_skipped_steps_stop_a_run(arrays, call, tmp_path):
    bad = ("trainer.callbacks=[{_target_: tests.faults.InfiniteLoss, batch: 2}]", "callbacks.skip_limit.most=3")
    with pytest.raises(SystemExit, match=r"3 of the last 13 .* init_from=.*last.ckpt"):
        call(*arrays, *TINY, *bad, "trainer.max_epochs=100", f"hydra.run.dir={tmp_path}")
    assert read(tmp_path / "checkpoints/last.ckpt")["skipped_steps"] == 2


@pytest.mark.slow
def test_the_count_goes_on_when_a_run_is_resumed(arrays, call, tmp_path):
    bad = ("trainer.callbacks=[{_target_: tests.faults.InfiniteLoss, batch: 2}]", "callbacks.skip_limit.most=3")
    keys = (*arrays, *TINY, *bad, f"hydra.run.dir={tmp_path}", "checkpoint=last")
    call(*keys, "trainer.max_epochs=2")
    with pytest.raises(SystemExit, match="3 of the last 13 "):
        call(*keys, "trainer.max_epochs=100")


def test_an_infinite_learning_rate_is_refused(arrays, call, tmp_path):
    with pytest.raises(SystemExit, match=r"optim.lr=inf .*finite"):
        call(*arrays, "optim.lr=inf", f"hydra.run.dir={tmp_path}/run")
