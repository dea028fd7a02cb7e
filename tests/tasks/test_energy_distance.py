"""A run that minimises the energy distance: it trains, samples and resumes, and is not scored."""

import json

import pytest
import torch

from pixelcnn import UserError, load
from tests.tasks.conftest import TINY
from tests.tasks.test_train import weights

ENERGY = ("objective=energy_distance", "objective.num_samples=2", "likelihood.num_features=6")


@pytest.fixture(scope="module")
def drawn_only(arrays, call, tmp_path_factory):
    """The directory of a run that minimised the energy distance."""
    directory = tmp_path_factory.mktemp("drawn_only")
    keys = [key for key in TINY if "num_mixtures" not in key]
    call(*arrays, *keys, *ENERGY, "trainer.max_steps=3", f"hydra.run.dir={directory}")
    return directory


def test_the_energy_distance_trains_and_samples(drawn_only, call, tmp_path):
    metrics = json.loads((drawn_only / "metrics.json").read_text())
    assert not [name for name in metrics if "bits" in name]
    assert 0 < metrics["val/energy_distance"] < 127.5**1.5 and metrics["train/energy_distance"] > 0
    assert metrics["init/max_abs_mean"] < 1e-3 and metrics["init/max_abs_std_error"] < 1e-3
    assert (drawn_only / "samples" / "step=000003.png").is_file()
    checkpoint = f"checkpoint={drawn_only}/checkpoints/best.ckpt"
    call("task=sample", checkpoint, "task.num_samples=2", f"hydra.run.dir={tmp_path}")
    assert (tmp_path / "samples.png").is_file()


def test_what_has_no_density_is_not_scored(drawn_only, arrays, call, tmp_path):
    checkpoint = drawn_only / "checkpoints/best.ckpt"
    with pytest.raises(SystemExit, match="likelihood=implicit "):
        call(*arrays, "task=evaluate", f"checkpoint={checkpoint}", f"hydra.run.dir={tmp_path}")
    with pytest.raises(UserError, match="likelihood=implicit "):
        load(checkpoint).log_prob(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_resuming_the_energy_distance_equals_not_stopping(drawn_only, arrays, call, tmp_path):
    keys = [*arrays, *(key for key in TINY if "num_mixtures" not in key), *ENERGY]
    call(*keys, "trainer.max_steps=2", f"hydra.run.dir={tmp_path}/first")
    call(
        *keys, "trainer.max_steps=3", f"checkpoint={tmp_path}/first/checkpoints/last.ckpt", f"hydra.run.dir={tmp_path}"
    )
    resumed, whole = (weights(path / "checkpoints/last.ckpt") for path in (tmp_path, drawn_only))
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_a_checkpoint_is_trained_by_an_objective_that_fits(drawn_only, trained, arrays, call, tmp_path):
    last, directory = "checkpoints/last.ckpt", f"hydra.run.dir={tmp_path}"
    with pytest.raises(SystemExit, match=r"objective=max_likelihood .*likelihood=implicit .*init_from="):
        call(*arrays, f"init_from={drawn_only}/{last}", directory)
    with pytest.raises(SystemExit, match=r"objective=energy_distance .*likelihood=discretized_logistic"):
        call(*arrays, "objective=energy_distance", f"init_from={trained}/{last}", directory)
    with pytest.raises(SystemExit, match=r"objective=.*MaximumLikelihood .* objective=.*EnergyDistance"):
        call(*arrays, f"checkpoint={drawn_only}/{last}", directory)
