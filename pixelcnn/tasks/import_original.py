"""``task=import``: converts an original TensorFlow checkpoint, or an .npz of its variables."""

from pathlib import Path

import torch
from omegaconf import DictConfig

from pixelcnn.configuration.description import ROLES, chosen, recorded, require_agreement
from pixelcnn.configuration.groups import partially
from pixelcnn.description import ModelDescription
from pixelcnn.durable import replacing
from pixelcnn.likelihood import Implicit
from pixelcnn.model import build
from pixelcnn.objective import EnergyDistance, MaximumLikelihood, Objective
from pixelcnn.original.architecture import infer_description
from pixelcnn.original.checkpoint import interpret, without_average
from pixelcnn.original.sources import read_variables
from pixelcnn.part import Part
from pixelcnn.signature import name_of
from pixelcnn.training.module import DensityEstimation
from pixelcnn.training.resumable import resumable_checkpoint

DRAWS = 10  # of each pixel, in the original's -ed


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write the resumable ``checkpoints/imported.ckpt``, and print what was found."""
    source, size = config.task.source, config.task.image_size
    variables = read_variables(source)
    asked = config.model.nonlinearity if ("model", "nonlinearity") in chosen(overrides) else None
    description = infer_description(without_average(variables), source, asked, height=size, width=size)
    require_agreement(description, source, config, overrides)
    model = build(description)
    original = interpret(variables, model, source)
    weights = original.raw if original.raw is not None else original.average
    assert weights is not None
    model.load_state_dict(weights)
    # Of the source's training only the optimiser is known.
    plain = {key: recorded(config, description)[key] for key in (*ROLES, "optim", "scheduler")}
    objective = objective_of(description)
    plain["objective"] = {"_target_": name_of(type(objective))}
    module = DensityEstimation(
        model, partially(config, "optim"), partially(config, "scheduler"), objective, config.seed, config=plain
    )
    checkpoint = resumable_checkpoint(module, original.average, original.moments, original.steps)
    path = run_dir / "checkpoints" / "imported.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        torch.save(checkpoint, file)
    network = description.network
    print(
        f"Imported {source}: {network['num_filters']} filters, {network['num_resnet_blocks']} blocks per stage, "
        f"{in_words(description.likelihood)}, {network['nonlinearity']}, "
        f"conditioning={description.conditioning.name}; "
        f"{'EMA weights' if original.average is not None else 'raw weights (no EMA)'}, "
        f"{f'Adam after {original.steps} steps' if original.moments is not None else 'no Adam state'}."
    )
    if original.ignored:
        print(f"Ignored (not variables of the original): {', '.join(original.ignored)}.")


def objective_of(description: ModelDescription) -> Objective:
    """The objective with which the original trained such a model."""
    has_density = description.likelihood.target.has_density  # type: ignore[attr-defined]
    return MaximumLikelihood() if has_density else EnergyDistance(DRAWS)


def in_words(likelihood: Part) -> str:
    """The likelihood of an imported model, as text."""
    if likelihood.target is not Implicit:
        return f"{likelihood['num_mixtures']} mixture components"
    return f"likelihood=implicit of {likelihood['num_features']} features and {likelihood['num_noise']} uniform numbers"
