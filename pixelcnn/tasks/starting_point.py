"""A training run's starting point: fresh, from a checkpoint's weights, or resumed."""

import json
import logging
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from pixelcnn.checkpoint import description_of, glance, load_weights, read
from pixelcnn.configuration.description import (
    by_group,
    describe,
    require_agreement,
    require_conditions,
    require_same_weights,
    revise,
)
from pixelcnn.configuration.groups import target_of, trusted_packages
from pixelcnn.configuration.root import LAST
from pixelcnn.configuration.same_run import require_same_run
from pixelcnn.data.base import ImageDataModule
from pixelcnn.errors import UserError
from pixelcnn.initialisation import data_dependent_initialisation
from pixelcnn.launch.devices import one_device
from pixelcnn.launch.resumption import directory_of_run
from pixelcnn.model import PixelModel, build
from pixelcnn.network.layers import WeightNormalized
from pixelcnn.objective import require_trainable
from pixelcnn.training.callback_states import STATES
from pixelcnn.training.checkpoints import ValidatedCheckpoint, has_training_state, newest
from pixelcnn.training.history import History
from pixelcnn.training.logging import WandbRunId
from pixelcnn.training.module import DensityEstimation
from pixelcnn.training.restorable import require_restorable

log = logging.getLogger(__name__)


def with_newest_checkpoint(config: DictConfig, run_dir: Path) -> DictConfig:
    """``config`` with ``checkpoint=last`` replaced by the run's newest checkpoint.

    If there is none yet, a new run begins, so the same command starts a run and resumes it. UserError if all
    checkpoints are damaged.
    """
    if config.checkpoint != LAST:
        return config
    folder = directory_of_run(run_dir, sys.argv, config) / "checkpoints"
    path = newest(folder)
    if path is None and any(folder.glob("*.ckpt")):
        raise UserError(f"checkpoint=last found no usable checkpoint in {folder}: remove them to start from scratch.")
    config = config.copy()
    if path is None:
        rank_zero_only(log.info)("checkpoint=last: no checkpoint in %s yet, starting a new run.", folder)
        config.checkpoint = None
    else:
        rank_zero_only(log.info)("checkpoint=last: resuming from %s.", path)
        config.checkpoint, config.init_from = str(path), None
    return config


def earlier_run_id(checkpoint: str | None, run_dir: Path) -> str | None:
    """The W&B id of the run to resume, even if it was killed before its first checkpoint."""
    if checkpoint is not None:
        return glance(Path(checkpoint)).get(WandbRunId.KEY)
    record = run_dir / "run.json"
    return json.loads(record.read_text()).get(WandbRunId.KEY) if record.exists() else None


def starting_point(
    config: DictConfig, overrides: list[str], data: ImageDataModule, images: dict[str, str]
) -> tuple[PixelModel, dict[str, float]]:
    """The model to train and what its initialisation achieved: fresh, from ``init_from``, or to be restored.

    A resumed model's weights come later, with the optimiser's state, when the trainer restores the checkpoint.
    ``images`` is the fingerprint of ``data``, which must match the resumed run's.
    """
    torch.manual_seed(config.seed)
    objective = target_of(config, "objective")
    if config.checkpoint is not None:
        checkpoint = read(config.checkpoint)
        stored = description_of(checkpoint, config.checkpoint, trust=trusted_packages(config))
        require_agreement(stored, config.checkpoint, config, overrides, data.shape)
        require_conditions(stored, f"checkpoint={config.checkpoint}", data.condition_sizes)
        if not has_training_state(checkpoint):
            remedy = f"start a new run with init_from={config.checkpoint}"
            raise UserError(f"checkpoint={config.checkpoint} has no training state to resume: {remedy}.")
        require_same_run(checkpoint["pixelcnn"], images, config)
        require_trainable(objective, stored.likelihood.target, f" of checkpoint={config.checkpoint}")
        model = build(replace(stored, image=data.shape))
        load_weights(model, checkpoint, config.checkpoint)
        return model, {}
    if config.init_from is not None:
        checkpoint = read(config.init_from, "init_from")
        stored = description_of(checkpoint, config.init_from, "init_from", trusted_packages(config))
        revised = revise(stored, config.init_from, config, overrides, data.shape, data.condition_sizes)
        require_trainable(objective, revised.likelihood.target, f" of init_from={config.init_from}")
        require_same_weights(stored, revised, config.init_from)
        told = (f"{where}={part.name} {dict(part.arguments)}" for where, part in by_group(revised).items())
        rank_zero_only(log.info)("init_from=%s: starting from its weights with %s.", config.init_from, ", ".join(told))
        model = build(revised)
        load_weights(model, checkpoint, config.init_from, "init_from")
        return model, {}
    model = build(describe(config, data.shape, data.condition_sizes))
    if not config.initialisation.enabled:
        return model, {}
    if not any(isinstance(module, WeightNormalized) for module in model.modules()):
        log.info("initialisation.enabled: %s has no weight-normalised layers.", model.description.network.name)
        return model, {}
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return model, {}  # training starts from the weights of rank 0
    return model, _initialise(model, data, config)


def _initialise(model: PixelModel, data: ImageDataModule, config: DictConfig) -> dict[str, float]:
    """Data-dependent initialisation on the training device; returns what it achieved. ``model`` ends on the CPU."""
    device = torch.device(one_device(config.trainer))
    batch = data.initialisation_batch(min(config.initialisation.size, data.num_training_images))
    batch = {name: value.to(device) for name, value in batch.items()}
    report = data_dependent_initialisation(model.to(device), batch["images"], model.condition_in(batch))
    model.cpu()
    return {f"init/{name}": value for name, value in asdict(report).items()}


def states_to_restore(config: DictConfig, module: DensityEstimation) -> dict[str, Any]:
    """The callbacks' states in the checkpoint to resume, if there is one; UserError if it cannot be resumed."""
    if config.checkpoint is None:
        return {}
    checkpoint = read(config.checkpoint)
    # Others may be left out or added when a run is resumed.
    kept = [kind for kind in STATES if kind in (History, ValidatedCheckpoint, target_of(config, "ema"))]
    require_restorable(checkpoint, module, f"checkpoint={config.checkpoint}", kept)
    return checkpoint["callbacks"]
