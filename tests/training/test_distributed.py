"""Two processes that share a batch train as one does."""

import pytest
import torch

from tests.training.tiny import fit, read, tiny_module


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without torch.distributed")
def test_two_processes_train_as_one(tmp_path):
    metrics = {}
    for devices, strategy in ((1, "auto"), (2, "ddp_spawn")):
        module = tiny_module(dropout=0.0)
        trainer = fit(tmp_path / str(devices), module=module, devices=devices, strategy=strategy, max_steps=6)
        metrics[devices] = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert metrics[2] == pytest.approx(metrics[1], rel=1e-4)
    one, two = read(tmp_path / "1"), read(tmp_path / "2")
    for key in ("current_model_state", "state_dict", "optimizer_states"):
        torch.testing.assert_close(two[key], one[key], rtol=1e-3, atol=1e-3, msg=lambda text, key=key: f"{key}: {text}")
