"""A user's own parts are checked as the project's are: by their constructors, before anything is trained."""

from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_network"
REFUSED = [
    ("model.widht=3", "model.widht", "did you mean model.width?"),
    ("model.width=abc", "model.width=abc", "a whole number"),
    ("model.width=2.5", "model.width=2.5", "a whole number"),
    ("model.width=true", "model.width=true", "a whole number"),
    ("model.depth=0", "model.depth=0", "at least one layer"),
    ("model.image_channels=3", "model.image_channels", "its keys are width"),
    ("likelihood.sharpness=-1", "likelihood.sharpness=-1", "positive"),
    ("likelihood.sharpnes=1", "likelihood.sharpnes", "did you mean likelihood.sharpness?"),
    ("optim.lr=-1", "optim.lr=-1", "positive"),
    ("optim.betas=[0.9]", "optim.betas=[0.9]", "a list"),
    ("optim.momentum=0.9", "optim.momentum", "its keys are lr, betas"),
    ("scheduler.power=abc", "scheduler.power=abc", "a number"),
    ("scheduler.gamma=1", "scheduler.gamma", "its keys are total_iters"),
    ("model._target_=torch.nn.ReLU", "model.width", "of torch.nn.ReLU, but of the class that it replaces"),
    ("callbacks.norms.every_n_steps=0", "callbacks.norms.every_n_steps=0", "1 or more"),
    ("optim.groups=[{match: '*bias', lrr: 0.1}]", "optim.groups[0].lrr", "did you mean lr?"),
    ("optim.groups=[{match: '*bias', lr: -0.1}]", "optim.groups[0].lr=-0.1", "positive"),
    ("optim.groups=[{match: '*.g'}]", "optim.groups[0].match=*.g", "matches no parameter"),
    ("data.batch_size=33 trainer.devices=2 trainer.accelerator=cpu", "data.batch_size=33", "a multiple of 2"),
    ("callbacks.norms.every=3", "callbacks.norms.every", "its keys are every_n_steps."),
    ("logger.lines.fil=x", "logger.lines.fil", "did you mean logger.lines.file?"),
    ("data.side=2", "data.side=2", "4 pixels or more"),
    ("data.sid=8", "data.sid", "did you mean data.side?"),
    ("model=leaky", "model=Leaky", "is not causal: its parameters of pixel (0, 0) depend on pixel (1, "),
    ("model._target_=mypaper.network.Row", "model._target_=mypaper.network.Row", "package.module.Class"),
    ("model._target_=mypaper.none.Rows", "model._target_=mypaper.none.Rows", "cannot be imported"),
]
LEAKY = """
from torch import nn


class Leaky(nn.Conv2d):
    def __init__(self, image_channels, num_parameters):
        super().__init__(image_channels, num_parameters, 3, padding=1)

    def forward(self, x, h=None):
        return super().forward(x)
"""


@pytest.fixture(scope="module")
def configuration(tmp_path_factory) -> Path:
    """A folder with the option ``model=leaky``, beside the example's."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "leaky_network.py").write_text(LEAKY)
    for file in (EXAMPLE / "conf").rglob("*.yaml"):
        copy = folder / "conf" / file.relative_to(EXAMPLE / "conf")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.read_text())
    (folder / "conf/model/leaky.yaml").write_text("_target_: leaky_network.Leaky\n")
    return folder


@pytest.mark.parametrize(("override", "named", "told"), REFUSED, ids=[override for override, *_ in REFUSED])
def test_what_a_users_own_part_refuses_names_its_key(call, configuration, monkeypatch, tmp_path, override, named, told):
    monkeypatch.syspath_prepend(EXAMPLE)
    monkeypatch.syspath_prepend(configuration)
    with pytest.raises(SystemExit) as refusal:
        overrides = [override] if "[" in override else override.split()
        call("--config-dir", f"{configuration}/conf", "experiment=mine", *overrides, f"hydra.run.dir={tmp_path}")
    assert list(tmp_path.iterdir()) == []  # nothing is left of a refused run
    sentence = str(refusal.value.code)
    assert sentence.startswith(named) and told in sentence and "\n" not in sentence
