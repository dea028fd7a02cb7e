"""What a training run leaves, and how another one resumes from it."""

import html
import json
import re
import shlex
import shutil

import numpy as np
import pytest
import torch

from pixelcnn import UserError, load
from pixelcnn.data.batches import HELD_OUT
from pixelcnn.tasks import train
from pixelcnn.training.throughput import TIMED
from tests.tasks.composing import ready
from tests.tasks.conftest import TINY


def weights(path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["current_model_state"]


def test_a_run_leaves_what_it_promises(trained):
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["step"] == 15 and metrics["epoch"] == 3
    assert 0 < metrics["val/bits_per_dim"] < 20 and 0 < metrics["train/bits_per_dim"] < 20
    assert metrics["init/max_abs_mean"] < 1e-3 and metrics["init/max_abs_std_error"] < 1e-3
    assert (trained / "samples" / "step=000015.png").is_file() and (trained / ".hydra" / "config.yaml").is_file()
    record = json.loads((trained / "run.json").read_text())
    assert record["num_parameters"] == sum(p.numel() for p in load(trained / "checkpoints/last.ckpt").parameters())


def test_what_sweeps_get_is_the_validation_score(arrays, tmp_path):
    keys = [*arrays, *TINY, "trainer.max_steps=1"]
    score = train.run(ready(keys), tmp_path, keys)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert score == metrics["best/val/bits_per_dim"] == metrics["val/bits_per_dim"]


def test_what_sweeps_get_is_the_best_validation_score(arrays, tmp_path, caplog):
    caplog.set_level("INFO", "pixelcnn")
    keys = [*arrays, *TINY, "trainer.max_steps=4", "trainer.val_check_interval=1", "optim.lr=1.0", "ema.decay=0"]
    score = train.run(ready(keys), tmp_path, keys)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert score == metrics["best/val/bits_per_dim"] < metrics["val/bits_per_dim"]
    best = torch.load(tmp_path / "checkpoints/best.ckpt", weights_only=True)
    assert best["metrics"]["val/bits_per_dim"] == score and best["global_step"] < metrics["step"]
    report = (tmp_path / "report.html").read_text()
    assert f"At the last validation, step {metrics['step']}: {metrics['val/bits_per_dim']:.4f}" in report
    assert f"{score:.4f} bits/dim" in report
    assert f"best {score:.4f} after {best['global_step']}" in caplog.text


def test_a_last_step_that_is_skipped_leaves_strict_json(arrays, call, tmp_path):
    bad = "trainer.callbacks=[{_target_: tests.faults.NoGradient, batch: 1}]"
    call(*arrays, *TINY, bad, "trainer.max_steps=2", f"hydra.run.dir={tmp_path}")
    metrics = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert metrics["train/gradient_norm"] is None and metrics["train/skipped_steps"] == 1


@pytest.mark.slow
def test_metrics_of_a_resumed_run_are_those_of_one_that_was_not_stopped(arrays, call, tmp_path):
    often = ("callbacks.interruption.every_n_steps=1", "trainer.val_check_interval=3", "trainer.max_epochs=2")
    often = (*often, "callbacks.samples=null")
    keep = f"trainer.callbacks=[{{_target_: tests.faults.Keeps, folder: {tmp_path}/kept}}]"
    call(*arrays, *TINY, *often, keep, f"hydra.run.dir={tmp_path}/whole")
    expected = json.loads((tmp_path / "whole/metrics.json").read_text())
    assert {"init/max_abs_mean", "lr", "train/bits_per_dim", "train/images_per_second"} <= expected.keys()
    kept = sorted((tmp_path / "kept").iterdir())
    assert len(kept) == 9
    for checkpoint in [*kept[::2], tmp_path / "whole/checkpoints/last.ckpt"]:
        run = tmp_path / f"resumed from {checkpoint.stem}"
        call(*arrays, *TINY, *often, f"checkpoint={checkpoint}", f"hydra.run.dir={run}")
        found = json.loads((run / "metrics.json").read_text())
        assert found.keys() == expected.keys()
        exact = expected.keys() - set(TIMED)
        assert {name: found[name] for name in exact} == {name: expected[name] for name in exact}, checkpoint


@pytest.mark.slow
def test_how_a_network_is_computed_is_the_runs_own_affair(trained, arrays, call, tmp_path):
    ways = ("model.channels_last=true", "model.activation_checkpointing=true")
    options = (*arrays, *TINY, "trainer.max_epochs=1")
    call(*options, *ways, f"hydra.run.dir={tmp_path}/other")
    checkpoint = tmp_path / "other/checkpoints/last.ckpt"
    directions = [v for name, v in weights(checkpoint).items() if name.endswith("conv1.v")]
    assert directions and all(v.stride(1) == 1 for v in directions)  # it was computed so
    assert load(checkpoint).description == load(trained / "checkpoints/last.ckpt").description
    # Its run can go on otherwise.
    call(*arrays, *TINY, "trainer.max_epochs=2", f"checkpoint={checkpoint}", f"hydra.run.dir={tmp_path}/plain")
    assert json.loads((tmp_path / "plain/metrics.json").read_text())["epoch"] == 2


def test_the_report_of_a_run(trained, look):
    metrics = json.loads((trained / "metrics.json").read_text())
    seen = look(trained / "report.html")
    alts = [picture["alt"] for picture in seen["pictures"]]
    assert all(picture["colours"] > 2 and min(picture["shown"]) > 20 for picture in seen["pictures"])
    assert "bits/dim against steps" in alts and "images/s against steps" in alts
    assert "Samples after 15 steps" in alts and alts[-9:].count("Histogram of bits/dim of an image of 4 images") == 1
    assert sum(alt.startswith("Image ") for alt in alts) == 2 * 4
    record = json.loads((trained / "run.json").read_text())
    told = ["Finished", "All 15 steps", record["command"], record["versions"]["torch"], "model.num_filters=4"]
    assert all(each in seen["text"] for each in told)
    assert f"{metrics['val/bits_per_dim']:.4f}" in seen["text"]


@pytest.mark.slow
def test_the_commands_of_a_report_are_right(trained, call, tmp_path):
    page = html.unescape((trained / "report.html").read_text())
    said = re.findall(r"<pre>(python run.py .*?)</pre>", page)
    again, resume, evaluate, sample = (shlex.split(command)[2:] for command in said)
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    call(*(argument.replace(str(trained), str(copy)) for argument in resume), "trainer.max_epochs=4")
    resumed = html.unescape((copy / "report.html").read_text())
    assert "resumed at step 15" in resumed and "Samples after 15 steps" in resumed and "All 20 steps" in resumed
    for name, arguments, left in (
        ("again", [*again, "trainer.max_steps=1"], "checkpoints/best.ckpt"),
        ("evaluate", evaluate, "per_image.csv"),
        ("sample", [*sample, "task.num_samples=1"], "samples.png"),
    ):
        call(*arguments, f"hydra.run.dir={tmp_path}/{name}")
        assert (tmp_path / name / left).is_file()


def test_both_checkpoints_hold_the_model_that_validation_scored(trained):
    last = torch.load(trained / "checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 15
    assert any(not torch.equal(last["state_dict"][name], raw) for name, raw in last["current_model_state"].items())
    model = load(trained / "checkpoints/best.ckpt")
    assert not model.training and model.description.image.levels == 256


def test_resuming_equals_not_stopping(arrays, call, trained, tmp_path):
    call(*arrays, *TINY, "trainer.max_steps=7", f"hydra.run.dir={tmp_path}/first")
    checkpoint = tmp_path / "first/checkpoints/last.ckpt"
    call(*arrays, *TINY, "trainer.max_epochs=3", f"checkpoint={checkpoint}", f"hydra.run.dir={tmp_path}/second")
    resumed, whole = weights(tmp_path / "second/checkpoints/last.ckpt"), weights(trained / "checkpoints/last.ckpt")
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_a_new_run_starts_from_old_weights(arrays, call, trained, tmp_path, caplog):
    caplog.set_level("INFO", "pixelcnn")
    best = trained / "checkpoints/best.ckpt"
    call(
        *arrays, "logger=none", "callbacks.samples.num_samples=2", f"init_from={best}", "model.dropout=0.25",
        "trainer.max_steps=1", "optim.lr=1e-9", f"hydra.run.dir={tmp_path}",
    )  # fmt: skip
    [told] = [line for line in caplog.messages if line.startswith(f"init_from={best}: ")]
    assert "model=pixelcnn_pp {'num_filters': 4, " in told and "'dropout': 0.25" in told and "conditioning=none" in told
    old, new = load(best), load(tmp_path / "checkpoints/last.ckpt")
    assert new.description.network["dropout"] == 0.25 and new.description.network["num_filters"] == 4
    assert all(torch.allclose(value, old.state_dict()[name], atol=1e-6) for name, value in new.state_dict().items())


def test_the_class_is_learned(arrays, call, tmp_path, capsys):
    call(*arrays, *TINY, "conditioning=class", "trainer.max_epochs=1", f"hydra.run.dir={tmp_path}")
    model = load(tmp_path / "checkpoints/last.ckpt")
    assert model.conditioning.features == 3
    assert capsys.readouterr().out.splitlines()[-1] == f"Run directory: {tmp_path}"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.num_filters=8", ["model.num_filters=8", "model.num_filters=4"]),
        ("conditioning=class", ["conditioning=class", "conditioning=none"]),
    ],
)
def test_what_disagrees_with_the_checkpoint_is_refused(arrays, call, trained, tmp_path, override, words):
    with pytest.raises(SystemExit) as refusal:
        call(*arrays, f"checkpoint={trained}/checkpoints/last.ckpt", override, f"hydra.run.dir={tmp_path}")
    assert all(word in str(refusal.value) for word in [*words, "last.ckpt"])


@pytest.mark.parametrize(
    "override",
    [
        *("seed=5", "data.seed=5", "data.val_size=6", "data.batch_size=2", "ema.decay=0.5", "ema.warmup=true"),
        *(
            "data.flip=true",
            "data.mutate=0.1",
            "optim.lr=0.5",
            "optim.betas=[0.9,0.99]",
            "optim.epsilon_inside_root=true",
        ),
        *("trainer.accumulate_grad_batches=2", "trainer.gradient_clip_val=1", "trainer.limit_train_batches=3"),
    ],
)
def test_a_resumed_run_keeps_what_it_is_made_of(arrays, call, trained, tmp_path, override):
    name = override.partition("=")[0]
    with pytest.raises(SystemExit, match=rf"^{name}=.* checkpoint=.*last.ckpt.* {name}="):
        call(*arrays, f"checkpoint={trained}/checkpoints/last.ckpt", override, f"hydra.run.dir={tmp_path}")


def stored(key):
    return dict(np.load(key.removeprefix("data.train=")))


@pytest.fixture
def resumed(arrays, call, trained, tmp_path):
    """Resume the trained run with a file of these training images."""

    def resumed(checkpoint=trained / "checkpoints/last.ckpt", **training):
        np.savez(tmp_path / "train.npz", **training)
        keys = (*arrays, *TINY, f"data.train={tmp_path}/train.npz", "trainer.max_epochs=4", f"checkpoint={checkpoint}")
        call(*keys, f"hydra.run.dir={tmp_path}/run")

    return resumed


def test_a_resumed_run_keeps_its_images_wherever_they_are(arrays, resumed, tmp_path):
    resumed(**stored(arrays[1]))
    assert json.loads((tmp_path / "run/metrics.json").read_text())["epoch"] == 4


@pytest.mark.parametrize("part", ["training", "held-out"])
def test_a_resumed_run_has_no_other_images(arrays, resumed, part):
    train = stored(arrays[1])
    held_out = np.random.default_rng((0, HELD_OUT)).permutation(24)[:4]
    train["images"][held_out[0] if part == "held-out" else np.setdiff1d(range(24), held_out)[0]] ^= 1
    with pytest.raises(SystemExit, match=rf"^data.train=.*/train.npz .*{part}"):
        resumed(**train)


def test_a_resumed_run_has_no_larger_images(arrays, resumed):
    train = stored(arrays[1])
    with pytest.raises(SystemExit, match=r"data.train=.* 8x16 .* 8x8 "):
        resumed(**{**train, "images": train["images"].repeat(2, axis=2)})


def test_a_checkpoint_of_before_images_were_compared_is_resumed(arrays, trained, resumed, tmp_path):
    checkpoint = torch.load(trained / "checkpoints/last.ckpt", weights_only=True)
    del checkpoint["pixelcnn"]["data"]
    torch.save(checkpoint, tmp_path / "old.ckpt")
    resumed(tmp_path / "old.ckpt", **stored(arrays[1]))
    assert json.loads((tmp_path / "run/metrics.json").read_text())["epoch"] == 4


def test_no_samples_are_drawn_if_none_are_wanted(arrays, call, tmp_path):
    call(*arrays, *TINY, "callbacks.samples=null", "trainer.max_steps=1", f"hydra.run.dir={tmp_path}")
    assert (tmp_path / "metrics.json").is_file() and not (tmp_path / "samples").exists()


def test_classes_cannot_be_added_to_old_weights(arrays, call, trained, tmp_path):
    with pytest.raises(SystemExit, match=r"model=gated_pixelcnn .*init_from="):
        call(*arrays, f"init_from={trained}/checkpoints/best.ckpt", "model=gated_pixelcnn", f"hydra.run.dir={tmp_path}")
    with pytest.raises(SystemExit, match=r"conditioning=class .*init_from="):
        call(*arrays, f"init_from={trained}/checkpoints/best.ckpt", "conditioning=class", f"hydra.run.dir={tmp_path}")


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("trainer.limit_val_batches=0", "skips validation"),
        ("trainer.fast_dev_run=true", "skips validation"),
        ("trainer.limit_train_batches=0", "leaves no batch to train on"),
        ("trainer.limit_train_batches=0.0", "leaves no batch to train on"),
    ],
)
def test_a_run_has_to_train_and_validate(arrays, call, tmp_path, override, told):
    with pytest.raises(SystemExit, match=f"^{override.partition('=')[0]}=.* {told}"):
        call(*arrays, *TINY, override, f"hydra.run.dir={tmp_path}")


@pytest.mark.parametrize(("optimizer", "why"), [("SparseAdam", "sparse gradients"), ("LBFGS", "history")])
def test_optimisers_that_do_not_fit_are_refused_at_start(arrays, call, tmp_path, optimizer, why):
    keys = ("optim=sgd", f"optim._target_=torch.optim.{optimizer}", "~optim.momentum")
    with pytest.raises(SystemExit, match=rf"optim=torch\.optim\.{optimizer} .*{why}.*: use another one"):
        call(*arrays, *TINY, *keys, "trainer.max_steps=1", f"hydra.run.dir={tmp_path}")
    assert not (tmp_path / "checkpoints").exists()


def test_a_damaged_checkpoint_is_refused(arrays, call, trained, tmp_path):
    whole = (trained / "checkpoints/last.ckpt").read_bytes()
    for length in (0, 10, 1000, len(whole) // 2, len(whole) - 10):
        (tmp_path / "cut.ckpt").write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cut.ckpt "):
            load(tmp_path / "cut.ckpt")


@pytest.mark.parametrize(
    ("likelihood", "score"), [("categorical", "bits_per_dim"), ("logistic_mixture", "bits_upper_bound")]
)
def test_a_score_has_its_name_everywhere(arrays, call, tmp_path, capsys, likelihood, score):
    keys = [key for key in TINY if likelihood == "logistic_mixture" or "num_mixtures" not in key]
    call(*arrays, *keys, f"likelihood={likelihood}", "trainer.max_steps=2", f"hydra.run.dir={tmp_path}")
    checkpoint = f"checkpoint={tmp_path}/checkpoints/best.ckpt"
    call(*arrays, "task=evaluate", checkpoint, f"hydra.run.dir={tmp_path}/test")
    scores = (score, "bits_per_image") if score == "bits_per_dim" else (score,)
    for path, split in ((tmp_path, "val"), (tmp_path / "test", "test")):
        metrics = json.loads((path / "metrics.json").read_text())
        named = {name for name in metrics if "bits" in name}
        assert f"{split}/{score}" in named and all(name.rpartition("/")[2].startswith(scores) for name in named)
    header = (tmp_path / "test/per_image.csv").read_text().partition("\n")[0]
    assert header.strip() == f"index,label,{score},{score}_red,{score}_green,{score}_blue"
    told = capsys.readouterr().out
    assert ("at most" in told) == (score == "bits_upper_bound") and "bits/dim" in told
    assert score == "bits_per_dim" or "bits_per_dim" not in told
