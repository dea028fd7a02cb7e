"""What no model can take, drawn by Hypothesis: every call refuses it in one sentence, and none returns a number."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

import pixelcnn
from pixelcnn.conditioning import ClassLabels, Unconditional
from pixelcnn.conditioning.several import by_key, kinds_of
from pixelcnn.description import GIVEN, PREFIXES, ModelDescription, are_several
from pixelcnn.errors import UserError
from pixelcnn.image_shape import INTEGERS
from pixelcnn.masks import known_pixels
from pixelcnn.model import PixelModel, build
from pixelcnn.network import PixelCNNPP
from tests.drawn import SCORED, cases, conditionings, descriptions, given_to, model_of, seeds

OTHER_TYPES = [torch.bool, torch.int8, torch.int16, torch.int32, torch.int64, torch.float32, torch.float64]
SCORES = {
    "log_prob": lambda model, images, condition: model.log_prob(images, condition),
    "log_prob_by_channel": lambda model, images, condition: model.log_prob_by_channel(images, condition),
    "score": lambda model, images, condition: model.score(images, condition),
    "pixel_parameters": lambda model, images, condition: model.pixel_parameters(images, condition),
    "incremental": lambda model, images, condition: model.pixel_parameters(images, condition, incremental=True),
}
DRAWINGS = {
    "sample": lambda model, images, condition: model.sample(len(images), condition),
    "complete": lambda model, images, condition: model.complete(
        images, torch.zeros(images.shape[-2:], dtype=torch.bool), condition
    ),
}
DRAWINGS["compress"] = lambda model, images, condition: pixelcnn.compress(model, images, condition)
OF_IMAGES = {**SCORES, **{name: DRAWINGS[name] for name in ("complete", "compress")}}


def wrong_images(model, images):
    """Strategy of ``images`` with one thing wrong."""
    channels = images.shape[1]
    ways = [
        st.sampled_from([kind for kind in OTHER_TYPES if kind not in INTEGERS]).map(images.to),
        st.sampled_from([images[0], images[None], images.flatten(2), images[0, 0]]),
        st.sampled_from([c for c in range(5) if c != channels]).map(lambda c: images[:, :1].expand(-1, c, -1, -1)),
        st.sampled_from([images[:, :, :0], images[:, :, :, :0]]),
    ]
    if model.image.levels < 256:
        place = st.integers(0, images.numel() - 1)
        above = st.just(model.image.levels) | st.integers(model.image.levels, 255)
        ways.append(
            st.builds(
                lambda at, value: images.flatten().index_fill(0, torch.tensor(at), value).view_as(images), place, above
            )
        )
    if model.stride > 1:
        fewer = st.integers(1, model.stride - 1)
        ways += [fewer.map(lambda k: images[:, :, k:]), fewer.map(lambda k: images[:, :, :, k:])]
    return st.one_of(ways)


def wrong_conditions(model, condition):
    """Strategy of ``condition`` with one thing wrong."""
    if condition is None:
        return st.sampled_from([torch.zeros(2, dtype=torch.int64), torch.zeros(2, 3), {}])
    if isinstance(condition, dict):
        of_one = [
            wrong_ones(model, one).map(lambda wrong, key=key: {**condition, key: wrong})
            for key, one in condition.items()
        ]
        others = [{**condition, "others": torch.zeros(2)}, None, *condition.values()]
        return st.one_of(st.one_of(of_one), st.sampled_from(others))
    return wrong_ones(model, condition) | st.just(dict.fromkeys(kinds_of(model.conditioning), condition))


def wrong_ones(model, condition):
    """Strategy of one ``condition`` with one thing wrong."""
    floats = condition.is_floating_point()  # features, of any precision; labels and images have one type each
    other_types = [kind for kind in OTHER_TYPES if kind != condition.dtype and not (floats and kind.is_floating_point)]
    if condition.ndim == 3:  # codes, of any type of integers
        other_types = [kind for kind in other_types if kind.is_floating_point or kind is torch.bool]
    ways = [
        st.none(),
        st.sampled_from(other_types).map(condition.to),
        st.sampled_from([condition[:0], condition[1:], torch.cat([condition, condition]), condition[None]]),
    ]
    if condition.ndim > 1 and condition.ndim != 3:
        ways.append(st.just(torch.cat([condition, condition[:, :1]], dim=1)))
    if condition.dtype == torch.uint8 and model.image.levels < 256:
        ways.append(st.just(torch.full_like(condition, model.image.levels)))
    if condition.ndim == 4 and condition.is_floating_point():
        taller, wider = (torch.cat([condition] * 9, dim=dim) for dim in (2, 3))  # images have up to 4 rows and columns
        ways += [st.just(condition[:, :, :0]), st.just(taller), st.just(wider)]
    return st.one_of(ways)


@cases(120)
@given(descriptions(side=4), seeds, st.sampled_from(sorted(OF_IMAGES)), st.data())
def test_images_that_are_none_of_the_models(description, seed, call, data):
    model = model_of(description, seed)
    images, condition = given_to(model, 2, seed)
    wrong = data.draw(wrong_images(model, images))
    with pytest.raises(UserError, match=r"images|likelihood=implicit"):
        OF_IMAGES[call](model, wrong, condition)


@cases(120)
@given(descriptions(side=4), seeds, st.sampled_from(sorted(SCORES | DRAWINGS)), st.data())
def test_conditions_that_are_none_of_the_models(description, seed, call, data):
    model = model_of(description, seed)
    images, condition = given_to(model, 2, seed)
    wrong = data.draw(wrong_conditions(model, condition))
    with pytest.raises(UserError, match=r"condition|likelihood=implicit"):
        (SCORES | DRAWINGS)[call](model, images, wrong)


@cases(60)
@given(descriptions(side=4), st.integers(1, 4), st.sampled_from(sorted(SCORES | DRAWINGS)), st.data())
def test_labels_that_the_model_does_not_know(description, num_classes, call, data):
    model = model_of(replace(description, conditioning=partial(ClassLabels, num_classes=num_classes)), 0)
    images, _ = given_to(model, 2, 0)
    far = st.integers(-(2**40), -1) | st.integers(num_classes, 2**40)
    wrong = data.draw(st.sampled_from([-1, num_classes]) | far)
    labels = data.draw(st.permutations([0, wrong]))
    with pytest.raises(UserError, match=rf"{wrong}.* 0..{num_classes - 1}|likelihood=implicit"):
        (SCORES | DRAWINGS)[call](model, images, torch.tensor(labels))


@cases(40)
@given(
    descriptions(
        SCORED, side=4, conditioned=conditionings.filter(lambda kind: getattr(kind, "func", None) is not Unconditional)
    ),
    seeds.map(lambda seed: 2 * seed),
    st.sampled_from([float("nan"), float("inf"), -float("inf")]),
    st.data(),
)
def test_of_a_condition_that_is_no_number_nothing_is_drawn(description, seed, value, data):
    model = model_of(description, seed)
    images, condition = given_to(model, 2, seed)
    given = by_key(model.conditioning, condition)
    one = given[data.draw(st.sampled_from(sorted(given)))]
    one.view(-1)[data.draw(st.integers(0, one.numel() - 1))] = value
    for drawing in DRAWINGS.values():
        with pytest.raises(UserError, match=r"^condition .*NaN"):
            drawing(model, images, condition)
    if value != value:
        with torch.no_grad():
            assert model.log_prob(images, condition).isnan().any()


@cases(40)
@given(descriptions(side=4), seeds, st.integers(-(2**40), -1), st.data())
def test_drawings_of_a_wrong_number_or_mask(description, seed, negative, data):
    model = model_of(description, seed)
    images, condition = given_to(model, 2, seed)
    key = data.draw(st.sampled_from(["n", "seed", "batch_size"]))
    with pytest.raises(UserError, match=f"^{key}={negative} "):
        model.sample(**{"n": 2, "condition": condition, key: negative})
    known = torch.zeros(images.shape[2:], dtype=torch.bool)
    masks = [known[1:], known[None], torch.cat([known, known], 1), *map(known.to, OTHER_TYPES[1:])]
    with pytest.raises(UserError, match=r"^known of "):
        model.complete(images, data.draw(st.sampled_from(masks)), condition)


def revised(part, **arguments):
    return replace(part, arguments={**part.arguments, **arguments})


@cases(60)
@given(descriptions(named=["pixelcnn_pp"]), st.integers(2, 4), st.integers(1, 64), st.data())
def test_sizes_that_the_strides_do_not_divide(description, num_stages, other, data):
    stride = 2 ** (num_stages - 1)
    undivided = stride * data.draw(st.integers(0, 9)) + data.draw(st.integers(1, stride - 1))
    height, width = data.draw(st.permutations([undivided, other]))
    image = replace(description.image, height=height, width=width)
    with pytest.raises(UserError, match=rf"^images of {height}x{width} .* by {stride}.*model.num_stages"):
        build(replace(description, image=image, network=revised(description.network, num_stages=num_stages)))


@pytest.mark.parametrize("group", ["image", *GIVEN])
@cases(120)
@given(descriptions(), st.data())
def test_options_out_of_range(group, description, data):
    stored = description.to_dict()
    values, prefix = stored[group], PREFIXES.get(group, "image.")
    if are_several(values, group):
        called = data.draw(st.sampled_from(sorted(values)))
        values, prefix = values[called], f"{prefix}{called}."
    key = data.draw(st.sampled_from([key for key in values if key != "short_cuts"]))
    if isinstance(values[key], str):
        wrong = st.text().filter(lambda text: text not in ("concat_elu", "elu", "relu", "exact", "original"))
    elif key == "dropout":
        wrong = st.sampled_from([-1e-9, 1.0, float("nan")])
    else:
        wrong = st.integers(max_value=0) | st.floats(max_value=0) | st.just(float("nan"))
    values[key] = data.draw(wrong)
    size = "image size=|" if key in ("height", "width") else ""
    name = f"{group} is " if key == "_target_" else rf"{size}{prefix}{key}="
    with pytest.raises(UserError, match=f"^({name})"):
        build(ModelDescription.from_dict(stored))


@cases(60)
@given(descriptions(), st.data())
def test_options_that_are_no_number(description, data):
    numbers = [key for key, value in description.network.arguments.items() if isinstance(value, float)]
    key = data.draw(st.sampled_from(numbers))
    with pytest.raises(UserError, match=f"^model.{key}=nan "):
        replace(description, network=partial(description.network.target, **{key: float("nan")}))


@cases(40)
@given(descriptions(["categorical"], named=["gated_pixelcnn", "pixelcnn"], channels_of=st.just(3)), st.data())
def test_features_that_the_groups_of_channels_do_not_divide(description, data):
    key = data.draw(st.sampled_from(["num_filters", "num_output_features"]))
    wrong = data.draw(st.integers(1, 50).filter(lambda width: width % 3))
    with pytest.raises(UserError, match=f"^model.{key}={wrong} .*multiple of 3"):
        build(replace(description, network=revised(description.network, **{key: wrong})))


shares = st.floats(0, 1).map(lambda share: f"{share:.6f}") | st.sampled_from(["0", "1", ".5", "2", "-1", "x", ""])
separators = st.sampled_from(":,; ")
masks = st.text() | st.builds(
    lambda kind, first, numbers: kind + first + ":".join(numbers),
    st.sampled_from(["top", "left", "box", "hole"]),
    separators,
    st.lists(shares, max_size=5),
)


@cases(200)
@given(masks, st.integers(1, 9), st.integers(1, 9))
@example("x" * 300, 4, 4)
def test_a_text_is_a_mask_or_is_refused(text, height, width):
    try:
        known = known_pixels(text, height, width)
    except UserError as refusal:
        assert str(refusal).startswith(str(UserError(f"task.mask={text} ")))
    else:
        assert known.dtype == torch.bool and known.shape == (height, width)


def test_a_part_that_a_file_does_not_name():
    network, classes = partial(PixelCNNPP, num_filters=2), partial(ClassLabels, num_classes=2)
    stored = PixelModel((1, 4, 4), network, conditioning=classes).description.to_dict()
    for wrong in ({}, {"num_classes": 2}, {"class": stored["conditioning"], "spatial": 0}):
        with pytest.raises(UserError, match=r"^conditioning .*_target_"):
            ModelDescription.from_dict({**stored, "conditioning": wrong})
