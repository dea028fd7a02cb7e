"""Raster orders: what they read first, and that a model in any of them, or in all, is a distribution."""

import itertools

import pytest
import torch

from pixelcnn import PixelModel, compress, decompress
from pixelcnn.causality import check_causal
from pixelcnn.description import ModelDescription
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.masks import known_pixels
from pixelcnn.model import build
from pixelcnn.orders import ALL, ORDERS, USUAL, Order
from tests.conftest import random_images, randomised
from tests.drawn import CONDITIONINGS, LIKELIHOODS, MODELS
from tests.naive import naive_samples
from tests.test_family import OPTIONS, condition_for

SHAPE = ImageShape(1, 2, 4, levels=2)
STEPS = {"right": (0, 1), "left": (0, -1), "down": (1, 0), "up": (-1, 0)}
HALVES = ["top", "bottom", "left", "right"]


def tiny(
    network: str = "pixelcnn_pp",
    likelihood: str = "discretized_logistic_mixture",
    conditioning: str = "none",
    order: str = ALL,
    shape: ImageShape = SHAPE,
) -> PixelModel:
    """A model in float64, every weight random."""
    torch.manual_seed(0)
    parts = (OPTIONS[network], OPTIONS[likelihood], OPTIONS[conditioning])
    return randomised(build(ModelDescription(shape, *parts, order))).double().eval()


def every_image(shape: ImageShape = SHAPE) -> torch.Tensor:
    """All images of two levels."""
    places = torch.arange(shape.dimensions)
    bits = (torch.arange(2**shape.dimensions)[:, None] >> places) & 1
    return bits.to(torch.uint8).view(-1, shape.channels, shape.height, shape.width)


def expanded(condition, n):
    return None if condition is None else condition.expand(n, *condition.shape[1:])


@pytest.mark.parametrize("name", ORDERS)
def test_an_order_does_as_its_name_says(name):
    grid = torch.stack(torch.meshgrid(torch.arange(3), torch.arange(5), indexing="ij"))
    shown = Order(name).shown(grid)
    pixel, line = (torch.tensor(STEPS[word])[:, None, None] for word in name.split("_"))
    assert torch.equal(shown.diff(dim=2), pixel.expand(2, shown.shape[1], -1)[:, :, :1].expand_as(shown.diff(dim=2)))
    assert (shown.diff(dim=1) == line).all() and shown.shape[1:].numel() == 15
    assert torch.equal(Order(name).back(shown), grid) and torch.equal(Order(name).shown(Order(name).back(grid)), grid)


@pytest.mark.parametrize(("network", "conditioning"), list(itertools.product(MODELS, CONDITIONINGS)))
def test_probabilities_sum_to_one_in_every_order(network, conditioning):
    images = every_image()
    for order in ORDERS:
        model = tiny(network, conditioning=conditioning, order=order)
        condition = expanded(condition_for(model, 1), len(images))
        with torch.no_grad():
            assert abs(float(model.log_prob(images, condition).exp().sum()) - 1) < 1e-9


@pytest.mark.parametrize(("network", "conditioning"), list(itertools.product(MODELS, CONDITIONINGS)))
def test_a_model_of_all_orders_is_a_distribution_in_each_and_over_them(network, conditioning):
    model, images = tiny(network, conditioning=conditioning), every_image()
    condition = expanded(condition_for(model, 1), len(images))
    with torch.no_grad():
        each = torch.stack([model.log_prob(images, condition, order=order) for order in ORDERS]).exp()
        together = model.log_prob_over_orders(images, condition).exp()
        assert torch.equal(model.log_prob(images, condition).exp(), each[ORDERS.index(USUAL)])
    assert ((each.sum(1) - 1).abs() < 1e-9).all() and len({round(float(p), 12) for p in each[:, 5]}) == len(ORDERS)
    torch.testing.assert_close(together, each.mean(0))


@pytest.mark.parametrize("conditioning", ["none", "vector", "spatial"])
def test_the_network_sees_the_order_itself(conditioning):
    """Of an image and a map that are alike in all orders its parameters differ."""
    model = tiny(conditioning=conditioning, shape=ImageShape(1, 4, 4, 2))
    images, condition = torch.zeros(1, 1, 4, 4, dtype=torch.uint8), condition_for(model, 1)
    condition = None if condition is None else torch.ones_like(condition)
    with torch.no_grad():
        found = [Order(order).shown(model.pixel_parameters(images, condition, order=order)) for order in ORDERS]
    for one, other in itertools.combinations(found, 2):
        assert not torch.allclose(one, other)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("order", ORDERS)
def test_another_order_is_the_usual_one_on_turned_images(likelihood, order):
    turned = Order(order)
    shape = ImageShape(3, 2, 4)
    model = tiny(likelihood=likelihood, order=order, conditioning="spatial", shape=shape)
    usual = tiny(likelihood=likelihood, order=USUAL, conditioning="spatial", shape=shape)
    images, condition = random_images(model, 3), condition_for(model, 3)
    with torch.no_grad():
        parameters = model.pixel_parameters(images, condition)
        expected = usual.pixel_parameters(turned.shown(images), turned.shown(condition))
        assert torch.equal(turned.shown(parameters), expected)
        torch.testing.assert_close(model.pixel_parameters(images, condition, incremental=True), parameters)
        if likelihood != "implicit":
            maps = usual.score_map(turned.shown(images), turned.shown(condition))
            assert torch.equal(turned.shown(model.score_map(images, condition)), maps)
            torch.testing.assert_close(model.score(images, condition), maps.mean((1, 2, 3)))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("order", ["left_up", "down_right", "up_left"])
def test_samples_are_of_the_order(likelihood, order):
    model, turned = tiny(likelihood=likelihood, conditioning="spatial", order=order), Order(order)
    condition, frames = condition_for(model, 2), []
    drawn = model.sample(2, condition, seed=3, on_row=lambda images: frames.append(images.clone()))
    lines, pixels = turned.shown(torch.zeros(2, 4)).shape
    usual = tiny(likelihood=likelihood, conditioning="spatial", order=USUAL, shape=ImageShape(1, lines, pixels, 2))
    assert torch.equal(turned.shown(drawn), naive_samples(usual, 2, turned.shown(condition), seed=3))
    assert len(frames) == lines and all(frame.shape == drawn.shape for frame in frames)
    for done, frame in enumerate(frames, start=1):
        assert torch.equal(turned.shown(frame)[:, :, :done], turned.shown(drawn)[:, :, :done])


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
@pytest.mark.parametrize("half", HALVES)
def test_completions_of_any_half_are_exact(half, conditioning):
    """The log-probability of the drawn pixels is that of the image over that of all images with its known pixels."""
    model, images = tiny(conditioning=conditioning), every_image()
    known = known_pixels(f"{half}:0.5", 2, 4)
    condition = condition_for(model, 1)
    originals = images[::37]
    completed, log_prob = model.complete(originals, known, expanded(condition, len(originals)), seed=1)
    order = model.completion_order(known).name
    with torch.no_grad():
        p = model.log_prob(images, expanded(condition, len(images)), order=order).exp()
    assert torch.equal(completed[:, :, known], originals[:, :, known])
    for image, found in zip(completed, log_prob, strict=True):
        agreeing = (images == image)[:, 0, known].all(1)
        this = (images == image).flatten(1).all(1)
        assert agreeing.sum() == 16 and abs(float((p[this] / p[agreeing].sum()).log()) - float(found)) < 1e-9


@pytest.mark.parametrize("half", HALVES)
def test_completions_are_drawn_as_often_as_they_are_probable(half):
    model, images = tiny(), every_image()
    known, n = known_pixels(f"{half}:0.5", 2, 4), 1000
    completed, _ = model.complete(images[77:78].repeat(n, 1, 1, 1), known, seed=2, batch_size=n)
    with torch.no_grad():
        p = model.log_prob(images, order=model.completion_order(known).name).exp()
    agreeing = (images == images[77])[:, 0, known].all(1)
    p = p[agreeing] / p[agreeing].sum()
    counted = torch.stack([(completed == image).flatten(1).all(1).sum() for image in images[agreeing]])
    assert counted.sum() == n and ((counted / n - p).abs() < 5 * (p * (1 - p) / n).sqrt() + 1e-9).all()


def test_where_no_order_has_the_known_pixels_first():
    model, one = tiny(), tiny(order="left_down")
    hole = known_pixels("hole:0:0.25:1:0.75", 2, 4)
    assert model.orders.with_first(hole) is None and model.completion_order(hole).name == USUAL
    right = known_pixels("right:0.5", 2, 4)
    assert one.orders.with_first(right) is None and one.completion_order(right).name == "left_down"
    first = torch.zeros(2, 4, dtype=torch.bool)
    first[0, 2:] = True  # the beginning of the upper row from the right
    assert model.completion_order(first).name == one.completion_order(first).name == "left_down"
    first[1, 3] = True
    assert model.completion_order(first).name == "down_left"
    explicit, _ = model.complete(every_image()[:4], right, seed=1, order="right_up")
    assert not torch.equal(explicit, model.complete(every_image()[:4], right, seed=1)[0])


def test_training_draws_orders_by_torchs_generator():
    model, images = tiny(), random_images(tiny(), 3)
    model.network.train(False)
    with torch.no_grad():
        each = {round(float(model.log_prob(images, order=order).sum()), 9) for order in ORDERS}
    model.training = True
    torch.manual_seed(5)
    drawn = [round(float(model(images).detach().sum()), 9) for _ in range(40)]
    torch.manual_seed(5)
    assert [round(float(model(images).detach().sum()), 9) for _ in range(40)] == drawn
    assert set(drawn) == each and len(each) == len(ORDERS)
    with torch.no_grad():  # parameters are those of the order that they were drawn in, at their own pixels
        candidates = [model.pixel_parameters(images, order=order) for order in ORDERS]
        assert any(torch.equal(model.pixel_parameters(images), one) for one in candidates)


@pytest.mark.parametrize(("order", "conditioning"), [("left_up", "class"), ("down_left", "spatial"), (ALL, "none")])
def test_archives_are_coded_in_the_models_order(order, conditioning):
    model = tiny(conditioning=conditioning, order=order, shape=ImageShape(3, 4, 6, 16)).float()
    images, condition = random_images(model, 3), condition_for(model, 3)
    archive = compress(model, images, condition, batch_size=2)
    assert torch.equal(decompress(model, archive), images)
    with pytest.raises(UserError, match="another model"):
        decompress(tiny(conditioning=conditioning, order=USUAL, shape=model.image).float(), archive)


@pytest.mark.parametrize("order", ["left_up", "up_right", ALL])
@pytest.mark.parametrize("conditioning", ["none", "spatial"])
def test_a_leak_is_named_by_its_own_pixel(order, conditioning):
    model = tiny(conditioning=conditioning, order=order)
    check_causal(model)
    own = Order(USUAL if order == ALL else order)
    pixels = own.shown(torch.arange(8).view(2, 4)).flatten()

    class Leak(torch.nn.Module):
        def __init__(self, network):
            super().__init__()
            self.inner = network

        def forward(self, x, h=None):
            parameters = self.inner(x, h)
            return parameters + x.flatten(2).roll(-1, 2).view_as(x).mean(1, keepdim=True)  # of the next pixel

    model.network = Leak(model.network)
    sites = [divmod(int(place), 4) for place in pixels[:2]]
    with pytest.raises(UserError) as refusal:
        check_causal(model)
    assert f"pixel {sites[0]} depend on pixel {sites[1]}" in str(refusal.value)


def test_a_description_holds_the_order_unless_it_is_the_usual_one():
    parts = [OPTIONS[name] for name in ("pixelcnn_pp", "categorical", "none")]
    usual, other = ModelDescription(SHAPE, *parts), ModelDescription(SHAPE, *parts, "up_left")
    assert "order" not in usual.to_dict() and other.to_dict()["order"] == {"name": "up_left"}
    for description in (usual, other):
        assert ModelDescription.from_dict(description.to_dict()) == description
    for wrong in ("diagonal", None, 3):
        with pytest.raises(UserError, match=r"^model.order=.* right_down.* all"):
            ModelDescription(SHAPE, *parts, wrong)


def test_unknown_orders_are_refused():
    images = every_image()[:2]
    with pytest.raises(UserError, match=r"^order=left_up .*right_down.*model.order=all"):
        tiny(order=USUAL).log_prob(images, order="left_up")
    with pytest.raises(UserError, match=r"^order=diagonal .*up_left"):
        tiny().sample(1, order="diagonal")
    with pytest.raises(UserError, match=r"^order=left_down .*right_down"):
        tiny(order=USUAL).log_prob_over_orders(images)

    class Plain(torch.nn.Module):
        def __init__(self, image_channels: int, num_parameters: int):
            super().__init__()

    with pytest.raises(UserError, match=r"^model.order=all .*condition_features.*Plain"):
        PixelModel(SHAPE, Plain, order=ALL)
