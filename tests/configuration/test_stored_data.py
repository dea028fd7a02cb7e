"""A task takes the data set of its checkpoint's run, unless told otherwise; a file's word is not run."""

import pytest
import torch

from pixelcnn.checkpoint import entry
from pixelcnn.configuration.stored_data import take_stored
from pixelcnn.errors import UserError
from tests.conftest import tiny_model

DIGITS = {
    "_target_": "pixelcnn.data.digits.Digits", "batch_size": 7, "val_size": 5, "num_workers": 0, "seed": 3,
}  # fmt: skip


@pytest.fixture
def checkpoint(tmp_path):
    """The path of one whose run had ``data``."""

    def write(data, **beside):
        model = tiny_model(channels=1, levels=17)
        state = {f"model.{name}": value for name, value in model.state_dict().items()}
        content = {"state_dict": state, "pixelcnn": entry(model, {"data": data}), **beside}
        torch.save(content, tmp_path / "a.ckpt")
        return tmp_path / "a.ckpt"

    return write


def taken(composed, path, *overrides):
    arguments = ["task=evaluate", f"checkpoint={path}", *overrides]
    config = composed(*arguments)
    take_stored(config, arguments)
    return config.data


def test_the_data_set_is_the_checkpoints(composed, checkpoint):
    path = checkpoint(DIGITS)
    assert taken(composed, path) == DIGITS
    assert taken(composed, path, "data.batch_size=9") == {**DIGITS, "batch_size": 9}


def test_a_sweeps_value_is_that_of_the_job(composed, checkpoint):
    arguments = ["task=evaluate", f"checkpoint={checkpoint(DIGITS)}"]
    config = composed(*arguments, "data.batch_size=9")
    take_stored(config, [*arguments, "data.batch_size=9,10"])
    assert config.data == {**DIGITS, "batch_size": 9}


@pytest.mark.parametrize("chosen", ["data=cifar10", "experiment=cifar10_small"])
def test_a_chosen_one_is_taken_instead(composed, checkpoint, chosen):
    assert taken(composed, checkpoint(DIGITS), chosen)["_target_"] == "pixelcnn.data.cifar10.CIFAR10"


def test_training_takes_what_is_configured(composed, checkpoint):
    path = checkpoint(DIGITS, optimizer_states=[])
    for arguments in ([f"init_from={path}"], [f"checkpoint={path}", "data=cifar10"]):
        config = composed(*arguments)
        take_stored(config, arguments)
        assert config.data._target_ == "pixelcnn.data.cifar10.CIFAR10"


def test_a_run_is_not_resumed_on_the_default_data_set(composed, checkpoint):
    arguments = [f"checkpoint={checkpoint(DIGITS, optimizer_states=[])}"]
    with pytest.raises(UserError, match=r"run on data of .*Digits, not of .*CIFAR10: to resume it, repeat"):
        take_stored(composed(*arguments), arguments)


CIFAR10 = {"_target_": "pixelcnn.data.cifar10.CIFAR10"}


@pytest.mark.parametrize(
    "data, beside, task",
    [
        (CIFAR10, {"optimizer_states": []}, "train"),
        ({}, {"optimizer_states": []}, "train"),
        (None, {"optimizer_states": []}, "train"),
        (DIGITS, {}, "train"),  # an exported model, which is refused later
        (DIGITS, {"optimizer_states": []}, "info"),  # likewise
    ],
)
def test_nothing_else_is_refused_for_its_data_set(composed, checkpoint, data, beside, task):
    arguments = [f"checkpoint={checkpoint(data, **beside)}", f"task={task}"]
    config = composed(*arguments)
    before = config.data.copy()
    take_stored(config, arguments)
    assert config.data == before


@pytest.mark.parametrize(
    "data",
    [
        {"_target_": "os.system", "command": "touch /tmp/ran"},
        {"_target_": "untrusted.Data"},
        {"_target_": "pixelcnn.durable.remove_partial", "folder": "."},
        {"_target_": "pixelcnn.data.base.os.system", "command": "true"},
        {**DIGITS, "batch_size": {"_target_": "os.system", "command": "true"}},
        {**DIGITS, "batch_size": [{"_target_": "os.system", "command": "true"}]},
        {**DIGITS, "batch_size": "${oc.env:HOME}"},
        {**DIGITS, "_partial_": True},
    ],
)
def test_nothing_else_of_a_file_is_called_or_resolved(composed, checkpoint, data):
    path = checkpoint(data)
    with pytest.raises(UserError, match=r"checkpoint=.*a.ckpt") as refusal:
        taken(composed, path)
    assert "/root" not in str(refusal.value).replace(str(path), "")
