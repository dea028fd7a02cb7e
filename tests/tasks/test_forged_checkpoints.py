"""A checkpoint with any one entry replaced is refused with a sentence, or works and gives the same numbers."""

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from pixelcnn.checkpoint import description_of, load, load_weights, read
from pixelcnn.configuration.groups import partially
from pixelcnn.errors import UserError
from pixelcnn.model import build
from pixelcnn.training.checkpoints import has_training_state
from pixelcnn.training.module import DensityEstimation
from pixelcnn.training.restorable import require_restorable
from tests.conftest import random_images
from tests.tasks.conftest import TINY
from tests.training.forging import forged

QUIET = (
    "model.num_stages=1",
    "callbacks.samples=null",
    "callbacks.ranked_images=null",
    "trainer.enable_progress_bar=false",
)
NUMBERS = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers")
few = settings(suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def stopped(arrays, call, tmp_path_factory) -> Path:
    """A run that has ended in the middle of its second epoch."""
    directory = tmp_path_factory.mktemp("stopped")
    call(*arrays, *TINY, *QUIET, "trainer.max_steps=7", f"hydra.run.dir={directory}")
    return directory / "checkpoints/last.ckpt"


@pytest.fixture(scope="module")
def resumed(arrays, call, tmp_path_factory):
    """What a run comes to that resumes a checkpoint for two steps."""

    def resumed(checkpoint: Path) -> dict[str, object]:
        directory = tmp_path_factory.mktemp("resumed")
        keys = ("trainer.max_steps=9", f"checkpoint={checkpoint}", f"hydra.run.dir={directory}")
        call(*arrays, *TINY, *QUIET, *keys)
        left = torch.load(directory / "checkpoints/last.ckpt", weights_only=True)
        return {name: left[name] for name in NUMBERS}

    return resumed


@pytest.fixture(scope="module")
def right(stopped, resumed):
    """The checkpoint's content, its model, and what resuming it comes to."""
    return torch.load(stopped, weights_only=True), load(stopped), resumed(stopped)


@given(rng=st.randoms(use_true_random=False))
@settings(few, max_examples=60)
def test_to_load(right, tmp_path_factory, rng):
    content, model, _ = right
    forgery, told = forged(content, rng)
    path = tmp_path_factory.mktemp("forged") / "forged.ckpt"
    torch.save(forgery, path)
    images = random_images(model, 2)
    try:
        score = load(path).score(images)
    except UserError as refusal:
        assert str(refusal).startswith(f"checkpoint={path} ") and str(refusal).isprintable(), told
    else:
        torch.testing.assert_close(score, model.score(images), rtol=0, atol=0, msg=told)


def require_resumable(path: Path, config: DictConfig) -> None:
    """What a resumed run checks before it trains, without composing a configuration for each of many files."""
    checkpoint = read(path)
    model = build(description_of(checkpoint, path))
    if not has_training_state(checkpoint):
        raise UserError(f"checkpoint={path} has no training state to resume.")
    load_weights(model, checkpoint, path)
    module = DensityEstimation(model, partially(config, "optim"), partially(config, "scheduler"), seed=0, config={})
    require_restorable(checkpoint, module, f"checkpoint={path}")


@given(rng=st.randoms(use_true_random=False))
@settings(few, max_examples=30)
def test_to_resume(right, resumed, tmp_path_factory, rng):
    content, _, expected = right
    forgery, told = forged(content, rng)
    path = tmp_path_factory.mktemp("forged") / "forged.ckpt"
    torch.save(forgery, path)
    try:
        require_resumable(path, OmegaConf.create(content["pixelcnn"]["config"]))
        numbers = resumed(path)
    except (UserError, SystemExit) as refusal:
        assert f"checkpoint={path}" in str(refusal) and str(refusal).isprintable(), told
    else:
        torch.testing.assert_close(numbers, expected, rtol=0, atol=0, msg=lambda text: f"{told}: {text}")
