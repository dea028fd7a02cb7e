"""Devices that are not there are refused, and CPU processes never stand in for them unasked."""

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.strategies import StrategyRegistry
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher

from pixelcnn.errors import UserError
from pixelcnn.launch import devices as of_machine
from pixelcnn.launch.devices import check_devices, check_gpus, one_device
from tests.configuration.trainer_options import trainer_options


def options(devices=1, accelerator="auto"):
    return trainer_options(accelerator=accelerator, devices=devices)


@pytest.mark.parametrize(
    ("there", "accelerator", "devices"),
    [
        (0, "auto", 1), (0, "auto", "1"), (0, "auto", "auto"),
        (1, "auto", 1), (1, "gpu", "auto"), (1, "auto", -1), (1, "cuda", [0]), (1, "auto", "0,"),
        (8, "auto", 8), (8, "gpu", "8"), (8, "auto", [7, 0]), (8, "auto", "0, 7"), (8, "auto", "-1"),
    ],
)  # fmt: skip
def test_what_is_there_may_be_used(there, accelerator, devices):
    check_gpus(options(devices, accelerator), there)


@pytest.mark.parametrize(
    ("there", "accelerator", "devices", "key"),
    [
        (0, "auto", 8, "trainer.devices=8"), (0, "auto", "8", "trainer.devices=8"),
        (0, "auto", -1, "trainer.devices=-1"), (0, "auto", [0], r"trainer.devices=\[0\]"),
        (0, "gpu", 1, "trainer.accelerator=gpu"),
        (0, "cuda", "auto", "trainer.accelerator=cuda"),
        (1, "auto", 2, "trainer.devices=2"), (1, "gpu", [1], r"trainer.devices=\[1\]"),
        (7, "auto", 8, "trainer.devices=8"), (8, "auto", "0,8", "trainer.devices=0,8"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused(there, accelerator, devices, key):
    with pytest.raises(UserError, match=key):
        check_gpus(options(devices, accelerator), there)


def test_the_remedy_keeps_the_number_of_processes():
    with pytest.raises(UserError, match=r"trainer.accelerator=cpu trainer.devices=8"):
        check_gpus(options(8), there=0)


@pytest.mark.parametrize("devices", ["abc", "0,a", "", 0, -2, 1.5, True, None, [], [-1], ["a"], "0"])
def test_what_names_no_devices_is_refused(devices):
    with pytest.raises(UserError, match=r"trainer.devices(\[0\])?="):
        check_devices(options(devices))


@pytest.mark.parametrize("devices", [[0, 1], -1])
def test_cpu_processes_are_counted(devices):
    with pytest.raises(UserError, match=r"trainer.devices="):
        check_devices(options(devices, "cpu"))


def test_cpu_processes_may_be_asked_for():
    check_devices(options(8, "cpu"))


def test_an_unknown_accelerator_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match=r"trainer.accelerator=foo .* auto, gpu, .*cuda"):
        check_devices(options(accelerator="foo"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_this_machine_is_asked():
    with pytest.raises(UserError, match=r"trainer.accelerator=cuda"):
        check_devices(options(accelerator="cuda"))
    with pytest.raises(UserError, match=r"trainer.devices=8"):
        check_devices(options(8))


def test_apples_gpus_are_refused():
    with pytest.raises(UserError, match=r"trainer.accelerator=mps .*float64"):
        check_devices(options(accelerator="mps"))


@pytest.mark.parametrize(
    ("there", "accelerator", "devices", "device"),
    [
        (0, "auto", 1, "cpu"), (8, "cpu", 1, "cpu"), (8, "auto", 1, "cuda:0"), (1, "gpu", "auto", "cuda:0"),
        (8, "auto", "2,5", "cuda:2"), (8, "cuda", [7], "cuda:7"), (8, "auto", -1, "cuda:0"),
    ],
)  # fmt: skip
def test_what_runs_on_one_device_takes_the_first_that_is_named(monkeypatch, there, accelerator, devices, device):
    monkeypatch.setattr(of_machine, "_gpus", lambda: there)
    assert one_device(options(devices, accelerator)) == device


@pytest.mark.parametrize("devices", [1, 2])
def test_strategies_whose_processes_are_copies_of_this_one_are_refused(devices):
    """Those whose launcher, Lightning says, is the one of multiprocessing."""
    refused, accepted = [], []
    for name in (name for name in StrategyRegistry if "ddp" in name or "fsdp" in name):
        given = options(devices, "cpu")
        given.strategy = name
        try:
            check_devices(given)
            accepted.append(name)
        except UserError as error:
            fsdp = "is not supported: its devices" if name.startswith("fsdp") else "starts processes by"
            assert f"trainer.strategy={name} {fsdp}" in str(error)
            refused.append(name)
    assert {"ddp_spawn", "ddp_fork", "ddp_notebook"} < set(refused) and {"ddp"} < set(accepted)
    for name in (name for name in (*refused, *accepted) if name.startswith("ddp")):
        launcher = Trainer(accelerator="cpu", devices=devices, strategy=name, logger=False).strategy.launcher
        assert isinstance(launcher, _MultiProcessingLauncher) == (name in refused)


@pytest.mark.parametrize("strategy", ["fsdp", "fsdp_cpu_offload"])
def test_sharded_gradients_are_refused(strategy):
    chosen = options(2, "cpu")
    chosen.strategy = strategy
    with pytest.raises(UserError, match=f"trainer.strategy={strategy} "):
        check_devices(chosen)
