"""A label enters every block, and only labels that the model knows do."""

import pytest
import torch

from pixelcnn import UserError
from tests.conftest import random_images
from tests.original.conftest import original_model


@pytest.fixture
def model():
    return original_model(classes=3, num_filters=2)


def test_every_block_depends_on_the_label(model):
    weights = {name: p for name, p in model.named_parameters() if name.endswith(".hw")}
    assert len(weights) == 6 + 10  # blocks of the up and the down pass
    images = random_images(model, 2)
    model.log_prob(images, torch.tensor([0, 2])).sum().backward()
    for name, parameter in weights.items():
        seen = (parameter.grad != 0).any(dim=1)
        assert seen.tolist() == [True, False, True], name


def test_a_sample_depends_on_its_own_label_only(model):
    a = model.sample(2, torch.tensor([0, 1]), seed=1)
    b = model.sample(2, torch.tensor([0, 2]), seed=1)
    assert torch.equal(a[0], b[0]) and not torch.equal(a[1], b[1])


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, "needs a label"),
        (torch.tensor([0.0, 1.0]), "torch.float32"),
        (torch.tensor([0]), r"\(1,\)"),
        (torch.tensor([0, 3]), r"labels 0\.\.3, but the model knows 0\.\.2"),
        (torch.tensor([-1, 0]), r"labels -1\.\.0"),
    ],
)
def test_other_labels_are_refused(model, labels, words):
    with pytest.raises(UserError, match=words):
        model.log_prob(random_images(model, 2), labels)


def test_a_condition_is_refused_where_there_is_none(model):
    with pytest.raises(UserError, match="conditioning=none"):
        original_model(num_filters=2).log_prob(random_images(model, 2), torch.tensor([0, 1]))
