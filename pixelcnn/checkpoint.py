"""Checkpoints: what a training run saves, opened without running code from the file.

A checkpoint is Lightning's file with one more entry,

    checkpoint["pixelcnn"] = {"format": 1, "description": ModelDescription.to_dict(), "config": the composed config}

The weights stand under "model." in ``state_dict``: the moving average's where the run kept one (the raw weights are
then in ``current_model_state``).
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel, build
from pixelcnn.options import ModelDescription

FORMAT = 1
PREFIX = "model."


def load(path: str | Path) -> PixelModel:
    """The distribution that a checkpoint holds, on the CPU, in evaluation mode, with the moving average's weights.

    UserError where the file is missing, damaged or not a checkpoint of this project.
    """
    checkpoint = read(path)
    model = build(description_of(checkpoint))
    load_weights(model, checkpoint, path)
    return model.eval()


def read(path: str | Path) -> dict[str, Any]:
    """The checkpoint's entries, tensors on the CPU; UserError as in `load`."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"checkpoint={path} does not exist: name a .ckpt file of a run's checkpoints folder.")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"checkpoint={path} is damaged or not a checkpoint: use another one.") from error
    if not isinstance(checkpoint, dict) or "pixelcnn" not in checkpoint:
        raise UserError(f"checkpoint={path} was not written by this project: use one of its .ckpt files.")
    stored_format = checkpoint["pixelcnn"]["format"]
    if stored_format != FORMAT:
        raise UserError(
            f"checkpoint={path} has format {stored_format}, this version reads {FORMAT}: update the project."
        )
    return checkpoint


def entry(model: PixelModel, config: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint of ``model`` stores under "pixelcnn"; ``config`` of plain containers and values only."""
    return {"format": FORMAT, "description": model.description.to_dict(), "config": config}


def description_of(checkpoint: dict[str, Any]) -> ModelDescription:
    """What model the checkpoint's weights belong to."""
    return ModelDescription.from_dict(checkpoint["pixelcnn"]["description"])


def load_weights(model: PixelModel, checkpoint: dict[str, Any], path: str | Path) -> None:
    """Copy the checkpoint's weights (the moving average's, if kept) into a model of the same architecture."""
    weights: dict[str, Tensor] = {
        name.removeprefix(PREFIX): value for name, value in checkpoint["state_dict"].items() if name.startswith(PREFIX)
    }
    expected = model.state_dict()
    for name in sorted(weights.keys() | expected.keys()):
        if name not in weights or name not in expected or weights[name].shape != expected[name].shape:
            raise UserError(
                f"checkpoint={path} has other weights than the model asked for, {name} for one: "
                "use the options of the run that made it."
            )
    model.load_state_dict(weights)
