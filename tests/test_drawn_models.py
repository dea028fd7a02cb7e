"""Any model that can be described, drawn by Hypothesis: what it scores, sees, draws and stores."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pixelcnn.checkpoint import PREFIX, entry, export, load
from pixelcnn.conditioning.condition import expanded
from pixelcnn.description import ModelDescription
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.orders import comes_first
from pixelcnn.sampling.sampler import Temperature
from tests.drawn import (
    EXACT,
    MODELS,
    SCORED,
    cases,
    conditionings,
    descriptions,
    given_to,
    likelihoods,
    model_of,
    networks,
    part,
    seeds,
)
from tests.naive import naive_samples
from tests.network.receptive_field import receptive_fields

COLD = 1e-12


@cases(80)
@given(descriptions(SCORED), seeds, st.sampled_from([torch.float32, torch.float64]))
def test_a_score_is_a_log_probability(description, seed, dtype):
    model = model_of(description, seed, dtype)
    images, condition = given_to(model, 3, seed)
    with torch.no_grad():
        log_prob = model.log_prob(images, condition)
        by_channel = model.log_prob_by_channel(images, condition)
        score, score_map = model.score(images, condition), model.score_map(images, condition)
    assert log_prob.shape == (3,) and log_prob.dtype == dtype and log_prob.isfinite().all()
    assert by_channel.shape == (3, description.image.channels) and by_channel.isfinite().all()
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    torch.testing.assert_close(by_channel.sum(1), log_prob, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(score, -log_prob / (description.image.dimensions * math.log(2)))
    assert score_map.shape == images.shape
    torch.testing.assert_close(score_map.mean((1, 2, 3)), score, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(score_map.sum((2, 3)) * -math.log(2), by_channel, rtol=tolerance, atol=tolerance)
    if not model.likelihood.is_bound:
        assert (log_prob <= tolerance).all() and (by_channel <= tolerance).all()
    if model.likelihood.is_bound or model.conditioning.sees_the_image:
        for called, instead in ((model.bits_per_dim, "score"), (model.bits, "score_map")):
            with pytest.raises(UserError, match=rf"^{called.__name__} .* {model.score_name}: call model.{instead}\.$"):
                called(images, condition)
    else:
        assert torch.equal(model.bits_per_dim(images, condition), score)
        with torch.no_grad():
            assert torch.equal(model.bits(images, condition), score_map)
        assert (score_map >= -tolerance).all()


@cases(80)
@given(descriptions(SCORED), seeds, st.permutations(range(4)), st.integers(1, 3))
def test_a_score_is_the_images_own(description, seed, order, cut):
    model = model_of(description, seed)
    images, condition = given_to(model, 4, seed)
    with torch.no_grad():
        whole = model.log_prob(images, condition)
        parts = [model.log_prob(images[s], part(condition, s)) for s in (slice(cut), slice(cut, None))]
        reordered = model.log_prob(images[order], part(condition, order))
        single = model.log_prob(images[:1], part(condition, slice(1)))
    close = dict(rtol=1e-11, atol=1e-9)
    torch.testing.assert_close(torch.cat(parts), whole, **close)
    torch.testing.assert_close(reordered, whole[order], **close)
    torch.testing.assert_close(single, whole[:1], **close)


@cases(120)
@given(descriptions(), seeds, st.data())
def test_a_changed_value_reaches_what_sees_it_and_nothing_else(description, seed, data):
    model = model_of(description, seed)
    images, condition = given_to(model, 1, seed)
    shape, groups = description.image, model.likelihood.num_groups
    channel, i, j = (data.draw(st.integers(0, n - 1)) for n in (shape.channels, shape.height, shape.width))
    changed = images.clone()
    changed[0, channel, i, j] = (int(images[0, channel, i, j]) + data.draw(st.integers(1, shape.levels - 1))) % (
        shape.levels
    )
    with torch.no_grad():
        before, after = (model.pixel_parameters(x, condition).unflatten(1, (groups, -1)) for x in (images, changed))
    differs = (after != before).any(2)[0]  # groups, H, W
    group, place = channel * groups // shape.channels, i * shape.width + j
    assert not differs.flatten(1)[:, :place].any() and not differs[: group + 1, i, j].any()
    seen = torch.from_numpy(receptive_fields(model.network.topology, shape.height, shape.width)["output"][:, :, i, j])
    if model.likelihood.sees_neighbours:
        seen[i : i + 2, j : j + 2] = True
    assert not (differs & ~seen).any()
    seen[i, j] = False
    # Where there are rectifiers, a narrow network may be deaf.
    if seen.any() and description.network.arguments.get("nonlinearity", "relu") != "relu":
        assert (differs & seen).any()


@cases(100)
@given(descriptions(side=6), seeds, st.integers(1, 4), st.integers(1, 4))
def test_pixel_by_pixel_is_all_at_once_in_any_size(description, seed, rows, columns):
    model = model_of(description, seed)
    images, condition = given_to(model, 2, seed, (rows * model.stride, columns * model.stride))
    with torch.no_grad():
        parallel = model.pixel_parameters(images, condition)
    incremental = model.pixel_parameters(images, condition, incremental=True)
    assert parallel.shape == (2, model.likelihood.num_parameters, *images.shape[2:])
    assert (incremental - parallel).abs().max() <= 1e-11 * max(1, parallel.abs().max())


@cases(60)
@given(descriptions(side=5), seeds, st.integers(0, 2**31), st.integers(1, 3))
def test_a_sample_is_decided_by_seed_and_number(description, seed, of_sample, batch_size):
    model = model_of(description, seed)
    _, condition = given_to(model, 3, seed)
    shape = description.image
    drawn = model.sample(3, condition, seed=of_sample)
    assert drawn.dtype == torch.uint8 and drawn.shape == (3, shape.channels, shape.height, shape.width)
    assert int(drawn.max()) < shape.levels
    assert torch.equal(model.sample(3, condition, seed=of_sample, batch_size=batch_size), drawn)
    assert torch.equal(model.sample(1, part(condition, slice(1)), seed=of_sample), drawn[:1])
    if description.likelihood.name in EXACT:
        with torch.no_grad():
            unlikely = model.log_prob(drawn, condition) < -20
        other = model.sample(3, condition, seed=of_sample + 1)
        assert (other != drawn).flatten(1).any(1)[unlikely].all()


@cases(60)
@given(descriptions(side=4), seeds)
def test_a_sample_is_what_naive_sampling_draws(description, seed):
    model = model_of(description, seed)
    _, condition = given_to(model, 2, seed)
    assert torch.equal(model.sample(2, condition, seed=seed), naive_samples(model, 2, condition, seed))


@cases(40)
@given(descriptions(side=4), seeds)
def test_without_warmth_there_is_no_chance(description, seed):
    model = model_of(description, seed)
    _, condition = given_to(model, 2, seed)
    mixture, scale = Temperature(mixture=COLD), Temperature(mixture=COLD, scale=COLD)
    refused = {"categorical": [scale], "implicit": [mixture, scale]}.get(description.likelihood.name, [])
    for temperature in refused:
        with pytest.raises(UserError, match=f"likelihood={description.likelihood.name}"):
            model.sample(2, condition, temperature=temperature)
    if description.likelihood.name != "implicit":
        coldest = mixture if scale in refused else scale
        a, b = (model.sample(2, condition, seed=seed, temperature=coldest) for seed in (1, 2))
        assert torch.equal(a, b)


@cases(80)
@given(descriptions(SCORED, side=5), seeds, st.integers(1, 3), st.data())
def test_a_completion_keeps_what_is_known_and_scores_the_rest(description, seed, batch_size, data):
    model = model_of(description, seed)
    images, condition = given_to(model, 3, seed)
    size = (description.image.height, description.image.width)
    first = st.integers(0, math.prod(size)).map(lambda n: np.arange(math.prod(size)).reshape(size) < n)
    known = torch.from_numpy(data.draw(first | hnp.arrays(bool, size)))
    given_images = images.clone()
    completed, log_prob = model.complete(images, known, condition, seed=seed, batch_size=batch_size)
    assert torch.equal(images, given_images) and completed.dtype == torch.uint8 and completed.shape == images.shape
    assert torch.equal(completed[:, :, known], images[:, :, known]) and int(completed.max()) < description.image.levels
    assert log_prob.shape == (3,) and log_prob.dtype == torch.float64 and log_prob.isfinite().all()
    assert (log_prob <= 1e-10).all()
    if known.all():
        assert (log_prob == 0).all()
    if not known.any():
        assert torch.equal(completed, model.sample(3, condition, seed=seed))
    if comes_first(known):
        # What is known is scored on the images as they were: their other pixels come later.
        with torch.no_grad():
            before, after = (
                model.likelihood.log_mass(model.pixel_parameters(x, condition), x) for x in (images, completed)
            )
            expected = after.sum((1, 2)) - before[:, known].sum(1)
        torch.testing.assert_close(log_prob, expected, rtol=1e-10, atol=1e-8)


@st.composite
def countable(draw):
    """A description with an exact likelihood whose images are few."""
    height, width, channels = draw(st.sampled_from([(1, 1, 1), (1, 2, 1), (2, 1, 1), (2, 2, 1), (1, 1, 3), (1, 2, 3)]))
    most = min(256, int(2048 ** (1 / (height * width * channels)) + 1e-9))
    levels, name = draw(st.integers(2, most)), draw(st.sampled_from(EXACT))
    network = draw(st.sampled_from(tuple(MODELS)))
    groups = channels if name == "categorical" and MODELS[network].masked_channels else 1
    model = draw(networks(network, groups, stages=2 if height == width == 2 else 1))
    shape = ImageShape(channels, height, width, levels)
    likelihood = draw(likelihoods(name, levels).filter(lambda kind: kind.keywords.get("tails", "exact") == "exact"))
    return ModelDescription(shape, model, likelihood, draw(conditionings))


@cases(60)
@given(countable(), seeds)
def test_the_probabilities_of_all_images_sum_to_one(description, seed):
    model, shape = model_of(description, seed), description.image
    values = list(itertools.product(range(shape.levels), repeat=shape.dimensions))
    images = torch.tensor(values, dtype=torch.uint8).view(-1, shape.channels, shape.height, shape.width)
    _, condition = given_to(model, 1, seed)
    each = expanded(condition, len(images))
    with torch.no_grad():
        assert abs(float(model.log_prob(images, each).exp().sum()) - 1) < 1e-10


@cases(50)
@given(descriptions(), seeds, st.booleans())
def test_a_model_comes_back_as_it_was_stored(tmp_path_factory, description, seed, as_folder):
    model = model_of(description, seed, torch.float32)
    images, condition = given_to(model, 2, seed)
    path = tmp_path_factory.mktemp("stored") / "model"
    config = {"seed": seed}
    if as_folder:
        export(model, config, path)
    else:
        weights = {PREFIX + name: value for name, value in model.state_dict().items()}
        torch.save({"pixelcnn": entry(model, config), "state_dict": weights}, path)
    back = load(path)
    assert back.description == description and not back.training
    with torch.no_grad():
        assert torch.equal(back.pixel_parameters(images, condition), model.pixel_parameters(images, condition))
        if description.likelihood.target.has_density:
            assert torch.equal(back.log_prob(images, condition), model.log_prob(images, condition))
    if images[0].numel() < 20:
        assert torch.equal(back.sample(2, condition, seed=seed), model.sample(2, condition, seed=seed))
