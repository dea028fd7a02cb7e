"""The original's checkpoints become checkpoints like any other, or are refused in a sentence."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import pixelcnn
from pixelcnn.likelihood import Implicit
from pixelcnn.original.checkpoint import AVERAGE, interpret
from pixelcnn.original.variables import parameters_by_original_name, to_original
from pixelcnn.part import Part
from tests.original.conftest import original_model, source_of
from tests.original.reference import Reference
from tests.original.test_golden import GOLDEN, to_levels

CASES = [
    dict(num_filters=3),
    dict(num_filters=4, num_resnet_blocks=2, num_mixtures=3, nonlinearity="elu"),
    dict(num_filters=3, num_resnet_blocks=3, num_mixtures=1, nonlinearity="relu", classes=5),
    dict(num_filters=2, classes=10),
]


def import_(call, directory: Path, variables: dict[str, np.ndarray], *overrides: str) -> Path:
    source = directory / "source.npz"
    np.savez(source, **variables)
    call("task=import", f"task.source={source}", *overrides, f"hydra.run.dir={directory}/run")
    return directory / "run" / "checkpoints" / "imported.ckpt"


@pytest.mark.parametrize("options", CASES, ids=str)
def test_everything_is_found_again(call, tmp_path, options):
    model = original_model(**options)
    variables = source_of(model)
    asked = options.get("nonlinearity", "concat_elu")
    path = import_(call, tmp_path, variables, f"model.nonlinearity={asked}")
    imported, checkpoint = pixelcnn.load(path), torch.load(path, weights_only=True)
    assert imported.description == model.description
    for name, parameter in parameters_by_original_name(imported).items():
        np.testing.assert_array_equal(to_original(name, parameter), variables[name + AVERAGE])
    for name, value in model.state_dict().items():
        assert torch.equal(checkpoint["current_model_state"][f"model.{name}"], value)
    # Adam's moments stand by the number of the parameter, in torch's order.
    state = checkpoint["optimizer_states"][0]["state"]
    start = next(k for k in range(3) if variables[f"Variable_{k}" if k else "Variable"].shape == ())
    order = {id(p): i for i, p in enumerate(parameters_by_original_name(model).values())}
    name_of = dict(zip(order.values(), parameters_by_original_name(model), strict=True))
    for number, parameter in enumerate(model.parameters()):
        place = order[id(parameter)]
        second, first = (variables[f"Variable_{start + 1 + 2 * place + k}"] for k in (0, 1))
        np.testing.assert_array_equal(to_original(name_of[place], state[number]["exp_avg"]), first)
        np.testing.assert_array_equal(to_original(name_of[place], state[number]["exp_avg_sq"]), second)
        assert state[number]["step"] == 7


ORIGINAL_SIZES = (("features", 64), ("noise", 4), ("classes", 0))


def energy_distance_source(blocks: int = 1, filters: int = 3, features: int = 64, noise: int = 4, classes: int = 0):
    """What the original's train.py -ed leaves: in the place of the output layer four, with Adam's state."""
    variables = source_of(original_model(num_filters=filters, num_resnet_blocks=blocks, classes=classes))
    slots = [variables.pop(name) for name in list(variables) if name.startswith("Variable")]
    rng, output = np.random.default_rng(0), 9 * blocks + 4
    shapes = [(filters, features), (noise, features), (2 * features, features), (2 * features, 3)]
    moments_of_output = 6  # V, g and b of the output layer, which comes last
    slots = slots[:-moments_of_output]
    for number, (fan_in, fan_out) in enumerate(shapes, start=output):
        for name, shape in (("V", (fan_in, fan_out)), ("g", (fan_out,)), ("b", (fan_out,))):
            values = rng.normal(0, 0.5, (2, *shape)).astype(np.float32)
            variables[f"model/dense_{number}/{name}"], variables[f"model/dense_{number}/{name}{AVERAGE}"] = values
            slots += [rng.random(shape, np.float32), rng.normal(0, 1, shape).astype(np.float32)]
    return variables | {f"Variable_{k}" if k else "Variable": slot for k, slot in enumerate(slots)}


@pytest.mark.parametrize("options", [dict(), dict(blocks=2, filters=2, features=6, noise=3, classes=5)], ids=str)
def test_a_model_of_the_energy_distance_draws_as_the_originals(call, tmp_path, options, capsys):
    variables = energy_distance_source(**options)
    path = import_(call, tmp_path, variables)
    features, noise, classes = (
        options.get(key, most) for key, most in (("features", 64), ("noise", 4), ("classes", 0))
    )
    assert f"likelihood=implicit of {features} features and {noise} uniform numbers" in capsys.readouterr().out
    model = pixelcnn.load(path).double()
    assert model.description.likelihood == Part(Implicit, {"num_features": features, "num_noise": noise})
    images = torch.randint(0, 256, (2, 3, 8, 8)).to(torch.uint8)
    uniforms = torch.rand(5, 2, noise, 8, 8, dtype=torch.float64)
    labels = torch.tensor([1, 3]) if classes else None
    with torch.no_grad():
        drawn = model.likelihood.samples(model.pixel_parameters(images, labels), uniforms)
    averages = {name.removesuffix(AVERAGE): value for name, value in variables.items() if name.endswith(AVERAGE)}
    reference = Reference(averages, options.get("blocks", 1), "concat_elu")
    x = (images.permute(0, 2, 3, 1).double().numpy() - 127.5) / 127.5
    h = None if labels is None else np.eye(classes)[labels]
    expected = reference.draws(x, 2 * uniforms.permute(0, 1, 3, 4, 2).numpy() - 1, h)
    np.testing.assert_allclose(drawn.permute(0, 1, 3, 4, 2).numpy(), expected, rtol=0, atol=1e-9)
    # Adam's moments of the last layer, by the number of its parameters in torch's order.
    state, names = torch.load(path, weights_only=True)["optimizer_states"][0]["state"], dict(model.named_parameters())
    last = sum(name.startswith("Variable") for name in variables) - 1
    place = list(names).index("likelihood.output.b")
    np.testing.assert_array_equal(state[place]["exp_avg"], variables[f"Variable_{last}"])
    np.testing.assert_array_equal(state[place]["exp_avg_sq"], variables[f"Variable_{last - 1}"])


def test_training_by_the_energy_distance_goes_on_from_an_imported_checkpoint(call, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "data.npz", images=images)
    path = import_(call, tmp_path, energy_distance_source(filters=2, features=6))
    run = (f"data.train={tmp_path}/data.npz", "data=arrays", "data.batch_size=2", "data.val_size=2", "logger=none")
    run += (
        "callbacks.samples.num_samples=1",
        "trainer.max_steps=8",
        f"checkpoint={path}",
        f"hydra.run.dir={tmp_path}/more",
    )
    with pytest.raises(SystemExit, match=r"objective=.*MaximumLikelihood .*checkpoint=.*EnergyDistance"):
        call(*run)
    call(*run, "objective=energy_distance")
    assert torch.load(tmp_path / "more/checkpoints/last.ckpt", weights_only=True)["global_step"] == 8


def test_the_golden_source_scores_as_the_original_did(call, tmp_path, capsys):
    call("task=import", f"task.source={GOLDEN}/uncond_small.npz", f"hydra.run.dir={tmp_path}")
    said = capsys.readouterr().out
    assert "no EMA" in said and "no Adam state" in said and "loss_per_image" in said
    golden = np.load(GOLDEN / "uncond_small.npz")
    model = pixelcnn.load(tmp_path / "checkpoints/imported.ckpt")
    with torch.no_grad():
        losses = -model.log_prob(to_levels(golden["x"]))
    np.testing.assert_allclose(losses.numpy(), golden["loss_per_image"], rtol=3e-6)


def test_training_goes_on_from_an_imported_checkpoint(call, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", images=rng.integers(0, 256, (8, 16, 16, 3), dtype=np.uint8))
    path = import_(call, tmp_path, source_of(original_model(num_filters=2)))
    data = (f"data.train={tmp_path}/data.npz", "data=arrays", "data.batch_size=2", "data.val_size=2")
    quick = ("logger=none", "callbacks.samples.num_samples=1", "trainer.max_steps=8")
    call(*data, *quick, f"checkpoint={path}", f"hydra.run.dir={tmp_path}/more")
    resumed = torch.load(tmp_path / "more/checkpoints/last.ckpt", weights_only=True)
    assert resumed["global_step"] == 8 and resumed["optimizer_states"][0]["state"][0]["step"] == 8
    # One step of lr 0.001 * 0.999995^8 has moved weights and average from the imported ones.
    assert resumed["optimizer_states"][0]["param_groups"][0]["lr"] == pytest.approx(0.001 * 0.999995**9, rel=1e-9)
    before = torch.load(path, weights_only=True)
    for name, raw in before["current_model_state"].items():
        assert (resumed["current_model_state"][name] - raw).abs().max() < 0.01
        expected = 0.9995 * before["state_dict"][name] + 0.0005 * resumed["current_model_state"][name]
        torch.testing.assert_close(resumed["state_dict"][name], expected, rtol=1e-5, atol=1e-6)


def without(name: str):
    return lambda variables: variables.pop(name)


def replaced(name: str, value: np.ndarray):
    return lambda variables: variables.__setitem__(name, value)


@pytest.mark.parametrize(
    ("break_it", "named"),
    [
        (without("model/conv2d_7/g"), "model/conv2d_7/g"),
        (without("model/conv2d_38/V"), "model/conv2d_"),
        (without("model/dense_13/V"), "model/dense_13/V"),
        (without("model/deconv2d_2/b"), "model/deconv2d_2/b"),
        (without(f"model/conv2d_4/V{AVERAGE}"), f"model/conv2d_4/V{AVERAGE}"),
        (without("Variable_5"), "Variable_5"),
        (without("Variable"), "Variable_1"),
        (replaced("Variable_343", np.zeros(3, np.float32)), "Variable_343"),
        (replaced("Variable_4", np.zeros((9, 9), np.float32)), "Variable_4"),
        (replaced("model/conv2d_40/b", np.zeros(3, np.float32)), "model/conv2d_40/b"),
        (replaced("model/conv2d_5/V", np.zeros((2, 3, 4, 5), np.float32)), "model/conv2d_5/V"),
        (replaced("model/conv2d_3/V", np.zeros((2, 3, 4, 5), np.float32)), "model/conv2d_3/V"),
        (replaced("model/conv2d_0/V", np.zeros((2, 3, 2, 3), np.float32)), "model/conv2d_0/V"),
        (replaced("model/conv2d_6/b", np.full(6, np.nan, np.float32)), "model/conv2d_6/b"),
        (replaced("model/conv2d_6/b", np.array(["a"] * 6)), "model/conv2d_6/b"),
        (replaced("model/dense_13/V", np.zeros((3, 21), np.float32)), "model/dense_13/V"),
        (replaced("model/dense_14/V", np.zeros((4, 20), np.float32)), "model/dense_14/g"),
        (replaced("model/dense_14/V", np.zeros((0, 20), np.float32)), "model/dense_14/V"),
    ],
)
def test_what_is_missing_surplus_or_misshapen_is_named(call, tmp_path, break_it, named):
    variables = source_of(original_model(num_filters=3))
    break_it(variables)
    with pytest.raises(SystemExit) as refusal:
        import_(call, tmp_path, variables)
    assert named in str(refusal.value) and "source.npz" in str(refusal.value)
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_elu_and_relu_have_to_be_told_apart(call, tmp_path):
    variables = source_of(original_model(num_filters=3, nonlinearity="elu"))
    with pytest.raises(SystemExit, match=r"model.nonlinearity=elu"):
        import_(call, tmp_path, variables)
    with pytest.raises(SystemExit, match=r"model.nonlinearity=concat_elu "):
        import_(call, tmp_path, variables, "model.nonlinearity=concat_elu")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 truncated"], ids=["empty", "text", "zip"])
@pytest.mark.parametrize("name", ["source.npz", "source.ckpt", "source"])
def test_other_files_are_refused(call, tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SystemExit, match=r"task.source=.*source"):
        call("task=import", f"task.source={tmp_path}/{name}", f"hydra.run.dir={tmp_path}/run")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_truncated_npz_is_refused(call, tmp_path):
    np.savez(tmp_path / "whole.npz", **source_of(original_model(num_filters=2)))
    whole = (tmp_path / "whole.npz").read_bytes()
    for share in (0.3, 0.9, 0.999):
        (tmp_path / "cut.npz").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(SystemExit, match=r"cut.npz "):
            call("task=import", f"task.source={tmp_path}/cut.npz", f"hydra.run.dir={tmp_path}/run")


def test_without_tensorflow_the_command_is_named(call, tmp_path, monkeypatch):
    (tmp_path / "params.ckpt.index").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(SystemExit, match=r"pip install -r requirements-tensorflow.txt"):
        call("task=import", f"task.source={tmp_path}/params.ckpt", f"hydra.run.dir={tmp_path}/run")


def test_a_source_without_raw_weights_is_its_average():
    model = original_model(num_filters=2)
    variables = {name: value for name, value in source_of(model).items() if name.endswith(AVERAGE)}
    found = interpret(variables, model, "source")
    assert found.raw is None and found.moments is None and found.average is not None


def test_average_alone_is_enough(call, tmp_path):
    model = original_model(num_filters=2)
    average = {name: value for name, value in source_of(model).items() if name.endswith(AVERAGE)}
    imported = pixelcnn.load(import_(call, tmp_path, average))
    for name, parameter in parameters_by_original_name(imported).items():
        np.testing.assert_array_equal(to_original(name, parameter), average[name + AVERAGE])


def test_labels_without_adam_are_no_state(call, tmp_path, capsys):
    variables = source_of(original_model(num_filters=2, classes=3))
    kept = {name: value for name, value in variables.items() if name.startswith("model/")}
    import_(call, tmp_path, {**kept, "Variable": variables["Variable"], "Variable_1": variables["Variable_1"]})
    assert "no Adam state" in capsys.readouterr().out


@pytest.mark.parametrize("step", [np.nan, np.inf, -5.0, 0.0, 2.5])
def test_an_impossible_step_is_refused(call, tmp_path, step):
    variables = source_of(original_model(num_filters=2))
    with pytest.raises(SystemExit, match=r"Variable=.*Adam"):
        import_(call, tmp_path, {**variables, "Variable": np.float32(step)})


def test_damaged_compression_and_single_arrays_are_refused(call, tmp_path):
    np.savez_compressed(tmp_path / "whole.npz", **source_of(original_model(num_filters=2)))
    whole = bytearray((tmp_path / "whole.npz").read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(10):
        damaged = whole.copy()
        for place in rng.integers(0, len(whole), 400):
            damaged[place] ^= 0xFF
        (tmp_path / "damaged.npz").write_bytes(damaged)
        with pytest.raises(SystemExit, match=r"task.source=.*damaged.npz"):
            call("task=import", f"task.source={tmp_path}/damaged.npz", f"hydra.run.dir={tmp_path}/run")
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(SystemExit, match=r"one.npy "):
        call("task=import", f"task.source={tmp_path}/one.npy", f"hydra.run.dir={tmp_path}/run")
