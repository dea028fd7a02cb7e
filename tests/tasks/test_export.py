"""An exported model is the same model, without pickle."""

import sys

import pytest
import torch
import yaml

from pixelcnn import UserError, load
from pixelcnn.checkpoint import export, read


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


def test_where_a_run_was_resumed_from_is_not_told(trained, tmp_path):
    stored = read(trained)["pixelcnn"]["config"] | {"checkpoint": "/home/me/last.ckpt"}
    export(load(trained), stored, tmp_path)
    assert read(tmp_path)["pixelcnn"]["config"] == {**stored, "checkpoint": None}


def test_it_serves_as_a_checkpoint_but_not_to_resume(exported, arrays, call, tmp_path):
    call("task=sample", f"checkpoint={exported}", "task.num_samples=1", f"hydra.run.dir={tmp_path}/samples")
    with pytest.raises(SystemExit, match=r"no training state"):
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
    with pytest.raises(UserError, match=r"model.safetensors .*config.yaml"):
        load(exported)


def test_half_the_space_costs_next_to_nothing(call, trained, exported, tmp_path):
    checkpoint = trained / "checkpoints/best.ckpt"
    folder = tmp_path / "half"
    call("task=export", "task.dtype=float16", f"checkpoint={checkpoint}", f"hydra.run.dir={folder}")
    size, full = ((where / "model.safetensors").stat().st_size for where in (folder, exported))
    assert size < 0.75 * full  # a tiny model is mostly vectors
    half, whole = load(folder), load(checkpoint)
    for name, value in whole.state_dict().items():
        expected = value.half().float() if value.ndim > 1 else value
        assert torch.equal(half.state_dict()[name], expected), name
    images = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    torch.testing.assert_close(half.bits_per_dim(images), whole.bits_per_dim(images), rtol=0.002, atol=0)


def test_without_its_library_the_hub_is_one_sentence(call, exported, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"hf://owner/name .*pip install"):
        load("hf://owner/name")
    for key in ("task=sample checkpoint=hf://owner/name", f"task=export checkpoint={exported} task.push=owner/name"):
        with pytest.raises(SystemExit, match=r"owner/name .*pip install"):
            call(*key.split(), f"hydra.run.dir={tmp_path}/run")
