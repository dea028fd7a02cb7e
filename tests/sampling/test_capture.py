"""Rows captured once and replayed draw the same images: by CUDA graphs on a GPU, here by a recording like them."""

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from unittest.mock import MagicMock

import pytest
import torch

from bench.gpu.recording import recorded
from pixelcnn.conditioning import ClassLabels, CoarseCodes, Encoder, Maps, Vectors
from pixelcnn.description import ModelDescription
from pixelcnn.likelihood import DiscretizedLogisticMixture
from pixelcnn.network import GatedPixelCNN, PixelCNN, PixelSNAIL
from pixelcnn.sampling.capture import cuda_graphs
from pixelcnn.sampling.sampler import Sampler, Temperature, uniforms_of
from tests.conftest import random_images, tiny_description, tiny_model
from tests.drawn import CONDITIONINGS, given_to, model_of


def drawn(model, capture, batches=2, known=None, h=None):
    shape = model.image
    size = (shape.channels, shape.height, shape.width)
    sampler = Sampler(model.network, model.likelihood, 2, *size, Temperature(), capture)
    images = random_images(model, 2 * batches)
    if known is None:
        known = torch.zeros(shape.height, shape.width, dtype=torch.bool)
    uniforms = uniforms_of(3, range(2 * batches), (model.likelihood.num_uniforms, shape.height, shape.width))
    device = sampler.levels.device
    images, uniforms = images.to(device), uniforms.to(device)
    for first in range(0, 2 * batches, 2):
        part = slice(first, first + 2)
        sampler.draw(images[part], known, None if h is None else h[part], uniforms[part], lambda: None)
    return images.cpu(), sampler


@pytest.mark.parametrize("options", [dict(), dict(channels=1, num_stages=1), dict(nonlinearity="elu", num_stages=2)])
def test_replayed_rows_draw_the_same_images(options):
    model = tiny_model(torch.float64, height=24, width=4, num_filters=3, **options)
    plain, _ = drawn(model, None)
    replayed, sampler = drawn(model, recorded)
    assert torch.equal(plain, replayed)
    assert len(sampler._replays) == 1 + sampler.walk.period < 24


@pytest.mark.parametrize("residual", ["left", "neighbours"])
def test_replayed_rows_see_the_neighbours_that_were_drawn(residual):
    likelihood = partial(DiscretizedLogisticMixture, num_mixtures=5, residual=residual)
    model = model_of(replace(tiny_description(height=24, width=4, num_filters=3), likelihood=likelihood), 0)
    plain, _ = drawn(model, None)
    replayed, _ = drawn(model, recorded)
    assert torch.equal(plain, replayed)


def test_replayed_rows_complete_the_same_images():
    model = tiny_model(torch.float64, height=16, width=4, num_filters=3, num_stages=2)
    known = torch.zeros(16, 4, dtype=torch.bool)
    known[:5], known[9:12, 1:3] = True, True
    images = random_images(model, 4)
    plain, replayed = drawn(model, None, known=known)[0], drawn(model, recorded, known=known)[0]
    assert torch.equal(plain, replayed)
    assert torch.equal(plain[:, :, known], images[:, :, known]) and not torch.equal(plain, images)


CONDITIONS = {
    "class": partial(ClassLabels, num_classes=3),
    "vector": partial(Vectors, num_features=2),
    "spatial": partial(Maps, num_features=2),
    "encoder": partial(Encoder, code_size=2, num_filters=2),
    "coarse": partial(CoarseCodes, num_codes=3, num_features=2),
}
NETWORKS = {
    **{f"{stages}_stages": tiny_description(num_filters=3, num_stages=stages).network for stages in (1, 2, 3)},
    "gated_pixelcnn": partial(
        GatedPixelCNN,
        num_layers=2,
        num_filters=3,
        num_output_features=3,
        first_kernel_size=3,
        kernel_size=3,
        dropout=0.0,
    ),
    "pixelcnn": partial(
        PixelCNN, num_blocks=1, num_filters=3, num_output_features=3, first_kernel_size=3, kernel_size=3, dropout=0.0
    ),
    "pixelsnail": partial(
        PixelSNAIL,
        num_attention_blocks=1,
        num_resnet_blocks=1,
        num_filters=3,
        num_key_features=2,
        num_value_features=3,
        dropout=0.0,
    ),
}


def masks(height, width):
    """Nothing known, a rectangle, single pixels that differ from row to row."""
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    yield torch.zeros(height, width, dtype=torch.bool)
    yield (rows >= 5) & (rows < height - 3) & (columns >= 1) & (columns < 3)
    yield (rows * width + columns) % 5 == 0


# Each network and each conditioning with each mask, not all three with all.
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("conditioning", CONDITIONS)
def test_replayed_rows_draw_the_same_images_given_conditions(conditioning, network):
    assert {"none", *CONDITIONS} == set(CONDITIONINGS)
    image = tiny_description(channels=1, height=24, width=4).image
    likelihood = tiny_description().likelihood
    model = model_of(ModelDescription(image, NETWORKS[network], likelihood, CONDITIONS[conditioning]), seed=0)
    _, condition = given_to(model, 4, seed=1)
    with torch.no_grad():
        h = 20 * model.conditioning.encode(condition, 4, 24, 4).double()  # strong enough to be seen in every draw
    turn = list(NETWORKS).index(network) + list(CONDITIONS).index(conditioning)
    every = list(masks(24, 4))
    known = every[turn % len(every)]
    plain, _ = drawn(model, None, known=known, h=h)
    replayed, sampler = drawn(model, recorded, known=known, h=h)
    assert sampler.walk.period < 23
    assert torch.equal(plain, replayed)
    assert not torch.equal(plain, drawn(model, None, known=known, h=h.flip(0))[0])


def test_graphs_are_captured_and_replayed_on_the_device_of_their_tensors(monkeypatch):
    current, seen = [0], []

    @contextmanager
    def device(new):
        current.append(torch.device(new).index)
        yield
        current.pop()

    class Graph:
        def capture_begin(self, pool, **options):
            assert options == {"capture_error_mode": "thread_local"}  # beside NCCL's threads
            seen.append(("captured", current[-1]))

        def capture_end(self):
            pass

        def replay(self):
            seen.append(("replayed", current[-1]))

    for name, stub in {
        "device": device,
        "CUDAGraph": Graph,
        "empty_cache": lambda: seen.append(("emptied", current[-1])),
        "Stream": MagicMock(),
        "stream": lambda stream: nullcontext(),
        "current_stream": MagicMock(),
        "graph_pool_handle": MagicMock(),
    }.items():
        monkeypatch.setattr(torch.cuda, name, stub)
    capture = cuda_graphs(torch.device("cuda:1"))
    for _ in range(2):
        capture(lambda: seen.append(("worked", current[-1])))()
    once = [("worked", 1), ("captured", 1), ("worked", 1), ("replayed", 1)]
    assert seen == [("emptied", 1), *once, *once]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("device", [f"cuda:{k}" for k in range(max(1, torch.cuda.device_count()))])
@pytest.mark.parametrize("height", [8, 32])
def test_on_a_gpu_graphs_draw_what_single_launches_draw(height, device):
    model = tiny_model(torch.float64, height=height, width=8, num_filters=8).to(device)
    eager, _ = drawn(model, lambda work: work)
    graphs, sampler = drawn(model, None)
    assert sampler._replays and torch.equal(eager, graphs)
    assert torch.equal(graphs, drawn(model.cpu(), None)[0])
