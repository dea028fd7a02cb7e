"""Orders by the command line: trained, evaluated over, completed in, and refused where a model does not know them."""

import csv
import json

import numpy as np
import pytest
import torch

from pixelcnn import load
from pixelcnn.orders import ORDERS
from tests.tasks.conftest import TINY


@pytest.fixture(scope="module")
def run_of(arrays, call, tmp_path_factory):
    """The checkpoint of a run of two steps in an order, or in all."""
    made = {}

    def run_of(order: str):
        if order not in made:
            made[order] = tmp_path_factory.mktemp(order)
            keys = (*TINY, f"model.order={order}", "trainer.max_steps=2", f"hydra.run.dir={made[order]}")
            call(*arrays, *keys)
        return made[order] / "checkpoints/last.ckpt"

    return run_of


def images_of(arrays, split="test"):
    stored = np.load(dict(key.split("=") for key in arrays)[f"data.{split}"])
    return torch.from_numpy(stored["images"]).permute(0, 3, 1, 2).contiguous()


def test_probabilities_are_averaged_over_orders(arrays, call, run_of, tmp_path, capsys):
    call(*arrays, "task=evaluate", f"checkpoint={run_of('all')}", "task.orders=8", f"hydra.run.dir={tmp_path}")
    model, images = load(run_of("all")), images_of(arrays)
    with torch.no_grad():
        expected = -model.log_prob_over_orders(images) / np.log(2) / 192
        each = {order: float(model.bits_per_dim(images, order=order).mean()) for order in ORDERS}
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    with (tmp_path / "per_image.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["index", "label", "bits_per_dim"]
    np.testing.assert_allclose([float(row["bits_per_dim"]) for row in rows], expected, rtol=1e-6)
    assert metrics["test/bits_per_dim"] == pytest.approx(float(expected.mean()), rel=1e-6)
    found = {order: metrics[f"test/bits_per_dim_{order}"] for order in ORDERS}
    assert found == pytest.approx(each, rel=1e-6) and metrics["test/bits_per_dim"] < np.mean(list(each.values()))
    assert "averaged over 8 orders" in capsys.readouterr().out
    assert "left_up" in (tmp_path / "report.html").read_text()


def test_an_order_is_part_of_the_model(arrays, call, run_of, tmp_path):
    checkpoint = run_of("left_down")
    model, images = load(checkpoint), images_of(arrays)
    assert model.description.order == "left_down"
    call(*arrays, "task=evaluate", f"checkpoint={checkpoint}", f"hydra.run.dir={tmp_path}/evaluated")
    with torch.no_grad():
        expected = float(model.bits_per_dim(images).mean())
    metrics = json.loads((tmp_path / "evaluated/metrics.json").read_text())
    assert metrics["test/bits_per_dim"] == pytest.approx(expected, rel=1e-6)
    call("task=export", f"checkpoint={checkpoint}", f"hydra.run.dir={tmp_path}/exported")
    exported = load(tmp_path / "exported")
    with torch.no_grad():
        assert exported.description == model.description and torch.equal(exported.bits(images), model.bits(images))


@pytest.mark.parametrize(
    ("order", "overrides", "told"),
    [
        ("left_down", ["task=evaluate", "task.orders=8"], r"^task.orders=8 needs .*model.order=left_down"),
        (
            "left_down",
            ["task=sample", "model.order=up_left"],
            r"^model.order=up_left disagrees .*model.order=left_down",
        ),
        ("left_down", ["model.order=all"], r"^model.order=all disagrees .*model.order=left_down"),
    ],
)
def test_another_order_than_the_checkpoints_is_refused(arrays, call, run_of, tmp_path, order, overrides, told):
    keys = (*arrays, *(TINY if len(overrides) == 1 else ()), *overrides, f"checkpoint={run_of(order)}")
    with pytest.raises(SystemExit, match=told):
        call(*keys, f"hydra.run.dir={tmp_path}")


def test_weights_are_taken_into_another_order_but_not_into_all(arrays, call, run_of, tmp_path):
    keys = (*arrays, *TINY, f"init_from={run_of('left_down')}", "trainer.max_steps=1")
    call(*keys, "model.order=up_left", f"hydra.run.dir={tmp_path}/one")
    assert load(tmp_path / "one").description.order == "up_left"
    call(*keys, f"hydra.run.dir={tmp_path}/same")
    assert load(tmp_path / "same").description.order == "left_down"
    with pytest.raises(SystemExit, match=r"^model.order=all does not fit .*model.order=left_down: give that"):
        call(*keys, "model.order=all", f"hydra.run.dir={tmp_path}/two")


@pytest.mark.parametrize(
    ("order", "mask", "told"),
    [
        ("all", "left:0.5", "the order down_right, in which the known pixels of task.mask=left:0.5 come first"),
        ("all", "right:0.5", "the order down_left, in which"),
        ("all", "bottom:0.5", "the order right_up, in which"),
        ("all", "hole:0.25:0.25:0.75:0.75", "after unknown ones in every order"),
        ("left_down", "left:0.5", "after unknown ones in the order left_down"),
        ("left_down", "top:0.5", None),
    ],
)
def test_a_completion_says_its_order(arrays, call, run_of, tmp_path, capsys, order, mask, told):
    keys = (*arrays, "task=complete", f"checkpoint={run_of(order)}", f"task.mask={mask}", "task.num_images=2")
    call(*keys, "task.num_completions=1", f"hydra.run.dir={tmp_path}")
    out = capsys.readouterr().out
    assert (told in out) if told else ("order" not in out)
    found = np.load(tmp_path / "completions.npz")
    known = torch.from_numpy(found["mask"])
    expected, _ = load(run_of(order)).complete(images_of(arrays)[:2], known)
    np.testing.assert_array_equal(found["images"], expected.permute(0, 2, 3, 1))
