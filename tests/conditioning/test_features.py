"""Embeddings and maps: as they are given, in every block, and each image's own."""

from functools import partial

import pytest
import torch

from pixelcnn import UserError
from pixelcnn.conditioning import ClassLabels, Maps, Vectors
from tests.conftest import random_images, tiny_model

SMALL = dict(height=8, width=4, num_filters=3)


def test_one_hot_vectors_are_class_labels():
    by_class = tiny_model(conditioning=partial(ClassLabels, num_classes=3), **SMALL)
    by_vector = tiny_model(conditioning=partial(Vectors, num_features=3), **SMALL)
    by_vector.load_state_dict(by_class.state_dict())
    images, labels = random_images(by_class, 4), torch.tensor([2, 0, 1, 1])
    with torch.no_grad():
        assert torch.equal(by_vector.log_prob(images, torch.eye(3)[labels]), by_class.log_prob(images, labels))
        # What is between two classes is given to either as it is.
        between = torch.tensor([[0.5, 0.25, 0.25]]).expand(4, 3)
        assert torch.equal(by_vector.log_prob(images, between), by_class.log_prob(images, between))


def test_a_map_that_is_the_same_everywhere_is_a_vector():
    by_vector = tiny_model(torch.float64, conditioning=partial(Vectors, num_features=2), **SMALL)
    by_map = tiny_model(torch.float64, conditioning=partial(Maps, num_features=2), **SMALL)
    by_map.load_state_dict(by_vector.state_dict())
    images, vectors = random_images(by_vector, 3), torch.randn(3, 2)
    maps = vectors[:, :, None, None].expand(3, 2, 8, 4)
    with torch.no_grad():
        difference = by_map.log_prob(images, maps) - by_vector.log_prob(images, vectors)
    assert difference.abs().max() < 1e-9
    assert torch.equal(by_map.sample(3, maps, seed=1), by_vector.sample(3, vectors, seed=1))


@pytest.mark.parametrize(
    ("options", "shape"), [(partial(Vectors, num_features=2), (2,)), (partial(Maps, num_features=2), (2, 8, 4))]
)
def test_every_block_depends_on_each_images_own_condition(options, shape):
    model = tiny_model(conditioning=options, **SMALL)
    images, condition = random_images(model, 3), torch.randn(3, *shape)
    model.log_prob(images, condition).sum().backward()
    weights = [parameter for name, parameter in model.named_parameters() if name.endswith(".hw")]
    assert len(weights) == 6 + 10 and all((weight.grad != 0).any(dim=1).all() for weight in weights)
    other = torch.cat([condition[:2], -condition[2:]])
    a, b = model.sample(3, condition, seed=1), model.sample(3, other, seed=1)
    assert torch.equal(a[:2], b[:2]) and not torch.equal(a[2], b[2])


def test_a_feature_of_a_map_is_felt_where_it_is():
    model = tiny_model(torch.float64, conditioning=partial(Maps, num_features=2), num_stages=1, **SMALL)
    images, maps = random_images(model, 1), torch.randn(1, 2, 8, 4)
    changed = maps.clone()
    changed[0, :, 5, 2] += 1

    def felt() -> torch.Tensor:
        with torch.no_grad():
            before, after = (model.pixel_parameters(images, condition)[0] for condition in (maps, changed))
        return (before != after).any(dim=0)

    # By way of the blocks' windows below and beside its place too, at a single resolution never above.
    assert felt()[5, 2] and not felt()[:5].any()
    *others, last = (name for name, _ in model.named_parameters() if name.endswith(".hw"))
    for name in others:
        model.get_parameter(name).data.zero_()
    assert last.startswith("network.layers.down0_ul") and felt().nonzero().tolist() == [[5, 2]]


FLOATS = torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("options", "condition", "words"),
    [
        (partial(Vectors, num_features=3), None, "conditioning=vector needs an embedding"),
        (partial(Vectors, num_features=3), FLOATS.long(), "torch.int64"),
        (partial(Vectors, num_features=3), FLOATS[:1], r"shape \(1, 3\) .* floats \(N, 3\)"),
        (partial(Vectors, num_features=2), FLOATS, r"shape \(2, 3\) .* floats \(N, 2\)"),
        (partial(Maps, num_features=3), None, "conditioning=spatial needs a map"),
        (partial(Maps, num_features=3), FLOATS, r"shape \(2, 3\) .* floats \(N, 3, 8, 4\)"),
        (partial(Maps, num_features=3), torch.zeros(2, 3, 4, 8), r"shape \(2, 3, 4, 8\) .* floats \(N, 3, 8, 4\)"),
    ],
)
def test_other_conditions_are_refused(options, condition, words):
    model = tiny_model(conditioning=options, **SMALL)
    with pytest.raises(UserError, match=words):
        model.log_prob(random_images(model, 2), condition)
