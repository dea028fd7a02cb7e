"""Tasks run as a user runs them: the command line, on a tiny data set, in this process."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import run
from pixelcnn.conditioning import ClassLabels
from pixelcnn.report import plots
from tests.conftest import DRAWN_PLOT, tiny_model
from tests.tasks.conditioned import file  # noqa: F401  a fixture
from tests.tasks.wrong_files import save

TINY = (
    "model.num_filters=4",
    "model.num_resnet_blocks=1",
    "likelihood.num_mixtures=2",
    "callbacks.samples.num_samples=2",
    "initialisation.size=8",
    "logger=none",
)


@pytest.fixture(scope="session")
def arrays(tmp_path_factory) -> tuple[str, ...]:
    """The keys of a data set of 24 + 11 colour images of 8x8 with three classes."""
    folder = tmp_path_factory.mktemp("arrays")
    rng = np.random.default_rng(0)
    for split, n in (("train", 24), ("test", 11)):
        # Dark, middling and bright: something that a label tells and that a model can learn.
        labels = rng.integers(0, 3, n)
        images = (60 * labels[:, None, None, None] + rng.integers(0, 80, (n, 8, 8, 3))).astype(np.uint8)
        np.savez(folder / f"{split}.npz", images=images, labels=labels)
    keys = (f"data.train={folder}/train.npz", f"data.test={folder}/test.npz")
    return ("data=arrays", *keys, "data.batch_size=4", "data.val_size=4")


@pytest.fixture(scope="session")
def call():
    """``run.py`` with the given arguments."""

    def call(*arguments: str) -> None:
        quiet = ("hydra/job_logging=none", "hydra/hydra_logging=none")  # not disabled, which other tests would feel
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["run.py", *arguments, *quiet])
            run.main()

    return call


@pytest.fixture(scope="session")
def trained(arrays, call, tmp_path_factory) -> Path:
    """The directory of a run of three epochs."""
    directory = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "_picture", DRAWN_PLOT)  # whichever module is the first to ask for it
        call(*arrays, *TINY, "trainer.max_epochs=3", f"hydra.run.dir={directory}")
    return directory


@pytest.fixture(scope="session")
def classes(tmp_path_factory) -> Path:
    """The checkpoint of a model that is conditioned on the three classes of ``arrays``, every weight random."""
    path = tmp_path_factory.mktemp("classes") / "best.ckpt"
    save(tiny_model(conditioning=partial(ClassLabels, num_classes=3)), path)
    return path
