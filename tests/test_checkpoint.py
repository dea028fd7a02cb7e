"""Checkpoints whose archive is whole and whose content is not: what `load` says of them."""

import copy

import pytest
import torch

from pixelcnn.checkpoint import PREFIX, entry, load
from pixelcnn.errors import UserError
from tests.conftest import tiny_model


def without(*path):
    def spoil(checkpoint):
        inside = checkpoint
        for key in path[:-1]:
            inside = inside[key]
        del inside[path[-1]]

    return spoil


def with_weights(change):
    def spoil(checkpoint):
        name, weight = next(iter(checkpoint["state_dict"].items()))
        checkpoint["state_dict"][name] = change(weight)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (without("pixelcnn"), "was not written by this project"),
        (without("pixelcnn", "config"), "describes no model"),
        (lambda checkpoint: checkpoint["pixelcnn"].update(config=3), "describes no model"),
        (lambda checkpoint: checkpoint["pixelcnn"].update(format=3), "has format 3, not 1 or 2"),
        (without("pixelcnn", "description", "likelihood"), "describes no model of this version"),
        (without("state_dict"), "has no weights"),
        (lambda checkpoint: checkpoint.update(state_dict=[]), "has no weights"),
        (lambda checkpoint: checkpoint["state_dict"].popitem(), "has other weights than the model asked for"),
        (with_weights(lambda weight: 1), "has no weights"),
        (with_weights(lambda weight: weight[:-1]), "has other weights than the model asked for"),
        (with_weights(lambda weight: weight.long()), "has other weights than the model asked for"),
        (with_weights(lambda weight: weight.log()), "has weights that are not finite"),
        (with_weights(lambda weight: weight / 0), "has weights that are not finite"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, spoil, told):
    model = tiny_model()
    weights = {PREFIX + name: value for name, value in model.state_dict().items()}
    right = {"state_dict": weights, "pixelcnn": entry(model, {})}
    torch.save(right, tmp_path / "right.ckpt")
    load(tmp_path / "right.ckpt")
    wrong = copy.deepcopy(right)
    spoil(wrong)
    torch.save(wrong, tmp_path / "wrong.ckpt")
    with pytest.raises(UserError, match=f"^checkpoint={tmp_path / 'wrong.ckpt'} {told}.*[.]$"):
        load(tmp_path / "wrong.ckpt")
