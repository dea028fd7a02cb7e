"""``task=import``: an original TensorFlow checkpoint, or an .npz of its variables, becomes one of ours."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from pixelcnn.configuration.description import GROUPS, chosen, recorded, require_agreement
from pixelcnn.durable import replacing
from pixelcnn.model import build
from pixelcnn.options import ModelDescription
from pixelcnn.original.architecture import infer_description
from pixelcnn.original.checkpoint import interpret, without_average
from pixelcnn.original.sources import read_variables
from pixelcnn.training.module import DensityEstimation
from pixelcnn.training.objective import build_objective
from pixelcnn.training.resumable import resumable_checkpoint

DRAWS = 10  # of each pixel, in the original's -ed


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``checkpoints/imported.ckpt``, from which training can be resumed, and say what was found."""
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
    # What the source's own training was is not known, beyond its optimiser.
    plain = {key: recorded(config, description)[key] for key in (*GROUPS, "optim")}
    plain["objective"] = objective_of(description)
    optim, objective = config.optim, build_objective(**plain["objective"])
    module = DensityEstimation(
        model, optim.lr, tuple(optim.betas), optim.lr_decay, config.seed, plain, objective=objective
    )
    checkpoint = resumable_checkpoint(module, original.average, original.moments, original.steps)
    path = run_dir / "checkpoints" / "imported.ckpt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        torch.save(checkpoint, file)
    options = description.model
    print(
        f"Imported {source}: {options.num_filters} filters, {options.num_resnet_blocks} blocks a stage, "
        f"{in_words(description.likelihood)}, {options.nonlinearity}, "
        f"conditioning={description.conditioning.name}; "
        f"{'weights of the moving average' if original.average is not None else 'no moving average: raw weights'}, "
        f"{f'Adam after {original.steps} steps' if original.moments is not None else 'no state of Adam'}."
    )
    if original.ignored:
        print(f"Ignored, as no variables of the original: {', '.join(original.ignored)}.")


def objective_of(description: ModelDescription) -> dict[str, Any]:
    """The group ``objective`` that the original trained such a model by."""
    if description.likelihood.has_density:
        return {"name": "max_likelihood"}
    return {"name": "energy_distance", "num_samples": DRAWS}


def in_words(likelihood: Any) -> str:
    """What an imported model draws from."""
    if likelihood.has_density:
        return f"{likelihood.num_mixtures} mixture components"
    return f"likelihood=implicit of {likelihood.num_features} features and {likelihood.num_noise} uniform numbers"
