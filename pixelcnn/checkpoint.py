"""Checkpoints and exported models, opened without running code from the file.

A checkpoint is Lightning's file with one more entry,

    checkpoint["pixelcnn"] = {"format": 2, "description": ModelDescription.to_dict(), "config": the composed config}

and, for a training run, "data": `pixelcnn.data.fingerprint.fingerprint` of its images. The model's parts are named by
their classes' dotted names. Classes of this project are imported, those of other packages only if the caller trusts
them. Format 1, which named options instead, is read as well.

The weights are under "model." in ``state_dict``: the EMA weights if the run kept them (the raw weights are then in
``current_model_state``). An exported model is a folder with ``model.safetensors``, only these weights, and
``config.yaml``, only this entry.
"""

import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import torch
import yaml
from torch import Tensor

from pixelcnn.checkpoint_format_1 import description_of_format_2
from pixelcnn.description import ModelDescription
from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel, build
from pixelcnn.released import CONFIG, WEIGHTS, located, released
from pixelcnn.typed import misfit, shown
from pixelcnn.untrusted import opened
from pixelcnn.weighing import TooLargeError, weights_of

FORMAT = 2
PREFIX = "model."
END_OF_YAML = "..."
HALVES = (torch.float16, torch.bfloat16)
CLASS_NAMES = "class_names"  # beside the groups of the configuration: the names of the labels 0, 1, …


class Entry(TypedDict):
    """What is under "pixelcnn"."""

    format: int
    description: dict[str, dict[str, Any]]
    config: dict[str, Any]
    data: NotRequired[dict[str, str]]


def load(path: str | Path, trust: Collection[str] = (), key: str = "checkpoint") -> PixelModel:
    """Load a model with its EMA weights, from a checkpoint, an exported folder or a run's directory (its best).

    ``path`` may also name a released model ("cifar10_small") or a repository ("hf://owner/name"). The model is on the
    CPU, in evaluation mode and float32. ``trust``: packages, besides this project, from which the file may import
    classes. Raises UserError if the file is missing, damaged, not from this project, or names other packages; the
    message calls the file ``key``.
    """
    checkpoint = read(path, key)
    model = build(description_of(checkpoint, path, key, trust))
    load_weights(model, checkpoint, path, key)
    names = checkpoint["pixelcnn"]["config"].get(CLASS_NAMES)
    model.class_names = tuple(map(str, names)) if isinstance(names, list) else None  # the file may hold anything
    return model.eval()


def read(path: str | Path, key: str = "checkpoint") -> dict[str, Any]:
    """The entries of a checkpoint or an exported folder, tensors on the CPU.

    UserError as in `load`, naming the file as ``key``=``path``.
    """
    path, named = of_run(Path(path)), f"{key}={path}"
    # Path.is_dir and is_file raise if a name is too long.
    if os.path.isdir(path):
        return _read_folder(path, named)
    _require_whole(path, named)
    return _opened(path, named, mmap=False)


def of_run(path: Path) -> Path:
    """The file of ``path``: itself, a run directory's best checkpoint, else its last, or a model by its name."""
    path = located(path)
    kept = (path / "checkpoints" / name for name in ("best.ckpt", "last.ckpt"))
    return next((file for file in kept if os.path.isfile(file)), path)


def glance(path: Path, key: str = "checkpoint") -> dict[str, Any]:
    """Like `read`, but with a checkpoint's tensors memory-mapped, so damage to them is not detected."""
    path = of_run(path)
    if os.path.isdir(path):
        return _read_folder(path, f"{key}={path}")
    return _opened(path, f"{key}={path}", mmap=True)


# Raised by zip, pickle and torch for damaged files.
DAMAGE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    RuntimeError,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    struct.error,
    zlib.error,
)


def _require_whole(path: Path, named: str) -> None:
    """UserError unless every byte of the archive at ``path`` is intact, which torch does not check."""
    if not os.path.isfile(path):
        names = ", ".join(released())
        raise UserError(f"{named} does not exist: name a checkpoint, a run's directory, or a released model ({names}).")
    try:
        with zipfile.ZipFile(path) as archive:
            # Torch gives its entries no attributes and does not compress them: one that has been made a directory by a
            # flipped bit would be empty, and a compressed one may be of any size.
            odd = any(entry.external_attr or entry.compress_type for entry in archive.infolist())
            whole = not odd and archive.testzip() is None
    except PermissionError as error:
        raise UserError(f"{named} cannot be read ({error.strerror}): make it readable, or use another one.") from error
    except DAMAGE as error:
        raise _damaged(named) from error
    if not whole:
        raise _damaged(named)


def _opened(path: Path, named: str, mmap: bool) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except DAMAGE as error:
        raise _damaged(named) from error
    if not isinstance(content, dict) or "pixelcnn" not in content:
        raise UserError(f"{named} was not written by this project: use one of its .ckpt files.")
    checkpoint: dict[str, Any] = opened(content, named, without_tensors=("pixelcnn",))
    _require_format(checkpoint["pixelcnn"], named)
    if misfit(checkpoint.get("state_dict"), dict[str, Tensor], "state_dict") is not None:
        raise UserError(f"{named} has no weights: use another one.")
    return checkpoint


def _damaged(named: str) -> UserError:
    return UserError(f"{named} is damaged or not a checkpoint: use another one.")


def save(model: PixelModel, folder: str | Path) -> None:
    """Write ``model`` into ``folder``, as ``model.safetensors`` and ``config.yaml``, for `load`."""
    export(model, {} if model.class_names is None else {CLASS_NAMES: list(model.class_names)}, folder)


def export(
    model: PixelModel,
    config: dict[str, Any],
    folder: str | Path,
    data: dict[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """`save` with ``config``, the configuration of the model's run, of plain containers and values, without the path of
    the checkpoint that the run was resumed from.

    ``dtype``: of the stored matrices, such as float16 for half the size. Vectors keep their type, and all weights are
    loaded as float32.
    """
    from safetensors.torch import save_file  # imported here, so that training does not need it

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Cloned: safetensors refuses weights that a network uses twice.
    weights = {name: value.clone(memory_format=torch.contiguous_format) for name, value in model.state_dict().items()}
    if dtype is not None:
        weights = {name: value.to(dtype) if value.ndim > 1 else value for name, value in weights.items()}
    save_file(weights, folder / WEIGHTS)
    config = {key: None if key == "checkpoint" else value for key, value in config.items()}
    (folder / CONFIG).write_text(yaml.safe_dump(entry(model, config, data), sort_keys=False, explicit_end=True))


def _read_folder(folder: Path, named: str) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(folder / WEIGHTS)
        text = (folder / CONFIG).read_text()
        stored = yaml.safe_load(text)
    except FileNotFoundError as error:
        remedy = "name a folder that was exported, or a file of a run's checkpoints folder"
        raise UserError(f"{named} lacks {WEIGHTS} or {CONFIG}: {remedy}.") from error
    except (SafetensorError, yaml.YAMLError, RecursionError, *DAMAGE) as error:
        raise UserError(f"{named} holds a damaged {WEIGHTS} or {CONFIG}: export it again.") from error
    # A file cut off between two lines is still valid YAML, and may still describe a model.
    if not text.rstrip().endswith("\n" + END_OF_YAML):
        raise UserError(f"{named} has a {CONFIG} without its end, {END_OF_YAML}: export it again.")
    full = {PREFIX + name: value.float() if value.dtype in HALVES else value for name, value in weights.items()}
    content = {"state_dict": full, "pixelcnn": stored}
    checkpoint: dict[str, Any] = opened(content, named, without_tensors=("pixelcnn",))
    _require_format(checkpoint["pixelcnn"], named)
    return checkpoint


def _require_format(stored: Any, named: str) -> None:
    wrong = misfit(stored, Entry, "pixelcnn")
    if wrong is not None:
        raise UserError(f"{named} does not describe a model ({wrong}): use one that this project wrote.")
    found = stored["format"]
    if found not in (1, FORMAT):
        raise UserError(f"{named} has format {found}, not 1 or {FORMAT}: use the version that wrote it.")


def entry(model: PixelModel, config: dict[str, Any], data: dict[str, str] | None = None) -> dict[str, Any]:
    """What a checkpoint of ``model`` stores under "pixelcnn"; ``config`` of plain containers and values only."""
    stored = {"format": FORMAT, "description": model.description.to_dict(), "config": config}
    return stored if data is None else {**stored, "data": data}


def description_of(
    checkpoint: dict[str, Any], path: str | Path, key: str = "checkpoint", trust: Collection[str] = ()
) -> ModelDescription:
    """The description of the model in the checkpoint ``key``=``path``.

    UserError if this version knows no such model, a part is from a package that is not in ``trust``, or the weights
    belong to another model. The project's own parts are built only once their weights are known to fit the file.
    """
    stored, present = checkpoint["pixelcnn"], _weights_in(checkpoint)
    # If it is not much larger, the message can say what differs.
    most = 2**20 + 2 * sum(value.numel() * value.element_size() for value in present.values())
    try:
        parts = description_of_format_2(stored["description"]) if stored["format"] == 1 else stored["description"]
        description = ModelDescription.from_dict(parts, trust)
        expected = weights_of(description, most)
    except UserError as error:
        raise UserError(f"{key}={path} describes a model whose {error}") from error
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{key}={path} does not describe a model of this version ({error}): use another one."
        ) from error
    except TooLargeError as error:
        raise UserError(f"{key}={path} describes a larger model than its weights: use another one.") from error
    _require_alike(present, expected, f"{key}={path} has weights that do not fit the model it describes")
    return description


def load_weights(model: PixelModel, checkpoint: dict[str, Any], path: str | Path, key: str = "checkpoint") -> None:
    """Copy the weights of the checkpoint ``key``=``path`` (the EMA weights, if kept) into a model of the same
    architecture; UserError if they do not fit or are not finite."""
    weights = _weights_in(checkpoint)
    _require_alike(weights, model.state_dict(), f"{key}={path} has weights that do not fit the requested model")
    for name, value in weights.items():
        if not value.isfinite().all():
            raise UserError(f"{key}={path} contains NaN or inf in its weights ({shown(name)}): use another one.")
    model.load_state_dict(weights)


def _weights_in(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    stored = checkpoint["state_dict"].items()
    return {name.removeprefix(PREFIX): value for name, value in stored if name.startswith(PREFIX)}


def _require_alike(present: dict[str, Tensor], expected: dict[str, Tensor], fault: str) -> None:
    for name in sorted(present.keys() | expected.keys()):
        if name not in present or name not in expected or _kind(present[name]) != _kind(expected[name]):
            raise UserError(f"{fault} ({shown(name)}): use the options of the run that made it.")


def _kind(tensor: Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype
