"""An exported model is the same model, without pickle."""

import pytest
import torch
import yaml

from pixelcnn import UserError, load


@pytest.fixture
def exported(call, trained, tmp_path):
    call("task=export", f"checkpoint={trained}/checkpoints/best.ckpt", f"hydra.run.dir={tmp_path}")
    return tmp_path


def test_the_round_trip_is_exact(exported, trained):
    before, after = load(trained / "checkpoints/best.ckpt"), load(exported)
    assert after.description == before.description and not after.training
    assert after.state_dict().keys() == before.state_dict().keys()
    assert all(torch.equal(value, before.state_dict()[name]) for name, value in after.state_dict().items())
    config = yaml.safe_load((exported / "config.yaml").read_text())["config"]
    assert config["optim"]["lr"] == 0.001 and config["task"]["name"] == "train"


def test_it_serves_as_a_checkpoint_but_not_to_resume(exported, arrays, call, tmp_path):
    call("task=sample", f"checkpoint={exported}", "task.num_samples=1", f"hydra.run.dir={tmp_path}/samples")
    with pytest.raises(SystemExit, match=r"no training state .* use|no training state .* init_from="):
        call(*arrays, f"checkpoint={exported}", f"hydra.run.dir={tmp_path}/train")


def test_a_description_that_was_cut_between_lines_is_refused(exported):
    lines = (exported / "config.yaml").read_text().splitlines(keepends=True)
    for end in range(len(lines)):
        (exported / "config.yaml").write_text("".join(lines[:end]))
        with pytest.raises(UserError, match=str(exported)):
            load(exported)


@pytest.mark.parametrize("name", ["model.safetensors", "config.yaml"])
def test_a_damaged_export_is_refused(exported, name):
    whole = (exported / name).read_bytes()
    for content in (b"", b"{[", whole[: len(whole) // 2]):
        (exported / name).write_bytes(content)
        with pytest.raises(UserError, match=str(exported)):
            load(exported)
    (exported / name).unlink()
    with pytest.raises(UserError, match=r"lacks model.safetensors or config.yaml"):
        load(exported)
