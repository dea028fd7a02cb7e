"""Every path keeps to one device: to a GPU that is only pretended, so that no machine has to have one.

Its tensors have a device and a shape but no values. What mixes them with the CPU's raises here as it does there, and so
does what reads a value, for which the host would wait.
"""

from contextlib import nullcontext
from functools import partial

import pytest
import torch
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorDeviceMismatchError,
    FakeTensorMode,
)
from torch.utils._pytree import tree_map_only

from pixelcnn.conditioning import ClassLabels, Encoder, Maps, Unconditional, Vectors
from pixelcnn.description import ModelDescription
from pixelcnn.image_shape import ImageShape
from pixelcnn.initialisation import data_dependent_initialisation
from pixelcnn.likelihood import Categorical, DiscretizedLogisticMixture, Implicit, LogisticMixture, prediction
from pixelcnn.model import build
from pixelcnn.network import GatedPixelCNN, PixelCNN, PixelSNAIL, kernels
from pixelcnn.objective import EnergyDistance, MaximumLikelihood
from pixelcnn.optim import Adam, Muon, build_optimizer
from pixelcnn.sampling import sampler
from pixelcnn.sampling.sampler import Sampler, Temperature
from pixelcnn.training.ema import ExponentialMovingAverage
from pixelcnn.training.metrics import ImageScores, LossPerDimension
from pixelcnn.training.nonfinite import gradient_norm, with_bad_gradient_if_not_finite
from tests.conftest import tiny_description

GPU = "cuda"
NOT_CPU = "meta"  # for gradients: autograd starts a thread for each GPU, which then has to be there
N, SIDE, FEATURES = 2, 4, 3
LIKELIHOODS = {
    **{
        f"{kind.name} {residual}": partial(kind, num_mixtures=4, residual=residual, spread=residual != "none")
        for kind in (DiscretizedLogisticMixture, LogisticMixture)
        for residual in ("none", "left", "neighbours")
    },
    "categorical": Categorical,
    "implicit": partial(Implicit, num_features=2, num_noise=2),
}
MASKED = {"num_filters": 6, "num_output_features": 6, "first_kernel_size": 3, "kernel_size": 3}
NETWORKS = {
    "pixelcnn_pp": tiny_description(num_stages=2).network,
    "gated_pixelcnn": partial(GatedPixelCNN, num_layers=1, **MASKED),
    "pixelcnn": partial(PixelCNN, num_blocks=1, **MASKED),
    "pixelsnail": partial(PixelSNAIL, num_filters=4, num_attention_blocks=1, num_resnet_blocks=1),
}
CONDITIONINGS = {
    "none": Unconditional,
    "class": partial(ClassLabels, num_classes=FEATURES),
    "vector": partial(Vectors, num_features=FEATURES),
    "spatial": partial(Maps, num_features=FEATURES),
    "encoder": partial(Encoder, code_size=FEATURES, num_filters=2),
}
MODELS = [
    *((likelihood, "pixelcnn_pp", "none") for likelihood in LIKELIHOODS),
    *(("categorical", network, conditioning) for network in NETWORKS for conditioning in CONDITIONINGS),
]
each_model = pytest.mark.parametrize(("likelihood", "network", "conditioning"), MODELS)
OPTIMIZERS = {
    "adam": Adam,
    "original": partial(Adam, epsilon_inside_root=True),
    "adamw": torch.optim.AdamW,
    "muon": Muon,
}


@pytest.fixture(autouse=True)
def without_values(monkeypatch):
    """Tensors without values, on devices that need no stream to capture, run no kernels and have no autocast."""
    monkeypatch.setattr(sampler, "cuda_graphs", lambda device: lambda work: work)
    monkeypatch.setattr(kernels, "_compile", lambda: False)
    monkeypatch.setattr(torch, "autocast", lambda device, **options: nullcontext())
    with FakeTensorMode():
        yield


def moved(module, device):
    """What ``module.to(device)`` does, which tensors without values cannot."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            part._parameters[name] = torch.nn.Parameter(parameter.detach().to(device))
        for name, buffer in part._buffers.items():
            part._buffers[name] = buffer.to(device)
    return module


def on(device, likelihood="discretized_logistic_mixture neighbours", network="pixelcnn_pp", conditioning="none"):
    """A model on ``device`` and a batch of images and conditions, whose values need no check."""
    image = ImageShape(3, SIDE, SIDE)
    parts = NETWORKS[network], LIKELIHOODS[likelihood], CONDITIONINGS[conditioning]
    model = moved(build(ModelDescription(image, *parts)), device)
    batch = {
        "images": torch.zeros(N, 3, SIDE, SIDE, dtype=torch.uint8),
        "index": torch.arange(N),
        "labels": torch.zeros(N, FEATURES),  # mixtures of classes
        "embeddings": torch.zeros(N, FEATURES),
        "maps": torch.zeros(N, FEATURES, SIDE, SIDE),
    }
    return model, {name: value.to(device) for name, value in batch.items()}


def objective_of(model):
    return MaximumLikelihood() if model.likelihood.has_density else EnergyDistance(num_samples=2)


@each_model
def test_the_gradient_of_a_training_step_without_reading_a_value(likelihood, network, conditioning):
    model, batch = on(NOT_CPU, likelihood, network, conditioning)
    # Data sets have checked them.
    batch["labels"] = torch.zeros(N, dtype=torch.int64, device=NOT_CPU)
    model.image = ImageShape(3, SIDE, SIDE, levels=7)
    model.conditioning.levels = model.image.levels
    loss = objective_of(model).losses(model.train(), batch, noise_seed=None).sum()
    with_bad_gradient_if_not_finite(loss).backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert gradient_norm(gradients).device.type == NOT_CPU


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_steps_of_an_optimiser_and_of_the_average(optimizer):
    model, _ = on(GPU)
    made = build_optimizer(OPTIMIZERS[optimizer], model)
    averaged = [weight.detach().clone() for weight in model.parameters()]
    for _ in range(2):
        step(made, model, averaged)
    assert {value.device.type for value in [*kept_by(made), *averaged]} == {GPU}


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_a_step_after_resuming_in_another_order_from_what_was_read_into_the_cpus_memory(optimizer):
    (model, _), (average, _) = on(GPU), on(GPU)
    made = build_optimizer(OPTIMIZERS[optimizer], model)
    step(made, model, list(average.parameters()))
    saved = [on_cpu(part.state_dict()) for part in (model, average, made)]
    (resumed, _), (its_average, _) = on(GPU), on(GPU)
    for layer in resumed.modules():
        for name, weight in layer._parameters.items():
            if weight is not None and weight.ndim == 4:
                layer._parameters[name] = torch.nn.Parameter(channels_last(weight.detach()))
    other = build_optimizer(OPTIMIZERS[optimizer], resumed)
    for part, state in zip((resumed, its_average, other), saved, strict=True):
        part.load_state_dict(state)
    step(other, resumed, list(its_average.parameters()))
    here = [*kept_by(other), *resumed.parameters(), *its_average.parameters()]
    assert len(kept_by(other)) == len(kept_by(made)) and {value.device.type for value in here} == {GPU}
    assert all(value.stride() == weight.stride() for weight in resumed.parameters() for value in kept_by(other, weight))


def channels_last(weight):
    return weight.contiguous(memory_format=torch.channels_last)


def step(optimizer, model, averaged):
    weights = list(model.parameters())
    for weight in weights:
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    ExponentialMovingAverage()._update(averaged, weights, 1)


def kept_by(optimizer, weight=None):
    states = optimizer.state.values() if weight is None else [optimizer.state[weight]]
    return [value for state in states for value in state.values() if value.ndim]


def on_cpu(state):
    """As ``torch.load(map_location="cpu")`` returns it; the numbers of steps have values."""
    return tree_map_only(torch.Tensor, lambda value: value.to("cpu") if value.ndim else torch.tensor(1.0), state)


@each_model
def test_data_dependent_initialisation_reads_what_it_reports_at_its_end(likelihood, network, conditioning):
    model, batch = on(GPU, likelihood, network, conditioning)
    if not any(hasattr(module, "init_scale") for module in model.modules()):
        pytest.skip("has no layers to initialise")
    with pytest.raises(DataDependentOutputException) as error:
        data_dependent_initialisation(model.train(), batch["images"], model.condition_in(batch))
    [line] = [str(entry.statement) for entry in error.traceback if entry.name == "data_dependent_initialisation"]
    assert line.strip().startswith("return InitialisationReport")


@each_model
def test_scores(likelihood, network, conditioning):
    model, batch = on(GPU, likelihood, network, conditioning)
    images, condition = batch["images"], model.condition_in(batch)
    with torch.no_grad():
        losses = objective_of(model.eval()).losses_by_channel(model, batch, noise_seed=None)
        if model.likelihood.has_density:
            bits, score = model.score_map(images, condition), model.score(images, condition)
            assert bits.shape == images.shape and {bits.device.type, score.device.type} == {GPU}
    total, table = moved_metric(LossPerDimension(1.0)), moved_metric(ImageScores())
    total.update(losses.sum(dim=1), images[0].numel())
    table.update(batch["index"], batch["index"], losses)
    assert {total.compute().device.type, table.compute().device.type} == {GPU}


def moved_metric(metric):
    for name in metric._defaults:
        state = getattr(metric, name)
        setattr(metric, name, state.to(GPU) if isinstance(state, torch.Tensor) else state)
    return metric


class Known:
    """A mask, which the host reads row by row."""

    dtype, shape = torch.bool, (SIDE, SIDE)

    def tolist(self):
        return [[(i + j) % 3 == 0 for j in range(SIDE)] for i in range(SIDE)]

    def to(self, device):
        return torch.zeros(SIDE, SIDE, dtype=torch.bool, device=device)


@pytest.mark.parametrize(
    ("likelihood", "network", "conditioning"),
    [
        ("discretized_logistic_mixture neighbours", "pixelcnn_pp", "spatial"),
        ("logistic_mixture left", "gated_pixelcnn", "class"),
        ("categorical", "pixelcnn", "vector"),
        ("implicit", "pixelcnn_pp", "encoder"),
    ],
)
def test_draws(likelihood, network, conditioning):
    model, batch = on(GPU, likelihood, network, conditioning)
    images, made = batch["images"], Sampler(model.network, model.likelihood, N, 3, SIDE, SIDE, Temperature())
    with torch.no_grad():
        h = model.conditioning.encode(model.condition_in(batch), N, SIDE, SIDE)
    uniforms = torch.zeros(N, model.likelihood.num_uniforms, SIDE, SIDE, dtype=torch.float64, device=GPU)
    made.draw(images, Known(), h, uniforms, lambda: None)


def test_completions():
    model, batch = on(GPU)
    completed, scores = model.complete(batch["images"], Known(), order="right_down")
    assert completed.shape == batch["images"].shape and {completed.device.type, scores.device.type} == {GPU}


def test_a_constant_left_on_the_cpu_is_found(monkeypatch):
    left, *others = prediction.PREDICTIONS["neighbours"]
    moved_left = (lambda sites: left(sites) + torch.zeros(1), *others)
    monkeypatch.setitem(prediction.PREDICTIONS, "neighbours", moved_left)
    for device in (GPU, NOT_CPU):
        model, batch = on(device)
        with pytest.raises(FakeTensorDeviceMismatchError):
            model.log_prob(batch["images"])
