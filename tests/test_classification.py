"""`PixelModel.classify` is Bayes' rule."""

from functools import partial

import pytest
import torch

from pixelcnn.conditioning import ClassLabels
from pixelcnn.description import ModelDescription
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import Categorical, DiscretizedLogisticMixture, Implicit, LogisticMixture
from pixelcnn.model import build
from pixelcnn.network import PixelCNNPP
from tests.conftest import random_images, randomised, tiny_model

NETWORK = partial(PixelCNNPP, num_filters=4, num_resnet_blocks=1, num_stages=1)
MIXTURE = partial(DiscretizedLogisticMixture, num_mixtures=2)


def model_of_three(likelihood=MIXTURE, image=(3, 4, 4)):
    description = ModelDescription(ImageShape(*image), NETWORK, likelihood, partial(ClassLabels, num_classes=3))
    return randomised(build(description)).double().eval()


@pytest.mark.parametrize("likelihood", [MIXTURE, Categorical, partial(MIXTURE, residual="left")])
@pytest.mark.parametrize("prior", [None, torch.tensor([1.0, 2.0, 5.0]), [1, 2, 5]])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_it_is_bayes_rule(likelihood, prior, batch_size):
    model = model_of_three(likelihood)
    images = random_images(model, 3)
    with torch.no_grad():
        joint = torch.stack([model.log_prob(images, torch.full((3,), k)) for k in range(3)], dim=1).exp()
        found = model.classify(images, prior, batch_size)
    joint = joint / joint.max(dim=1, keepdim=True).values * torch.as_tensor(1 if prior is None else prior)
    torch.testing.assert_close(found.exp(), joint / joint.sum(dim=1, keepdim=True), rtol=1e-9, atol=1e-12)
    assert found.dtype == torch.float64


def test_a_bound_is_replaced_by_what_it_bounds():
    """The mixture's masses of bins, from the same weights."""
    bound = model_of_three(partial(LogisticMixture, num_mixtures=2))
    exact = model_of_three()
    exact.load_state_dict(bound.state_dict())
    images = random_images(exact, 4)
    with torch.no_grad():
        torch.testing.assert_close(bound.classify(images), exact.classify(images))


def test_what_cannot_be_classified():
    model = tiny_model(height=4, width=4, num_stages=1)
    with pytest.raises(UserError, match=r"^conditioning=none "):
        model.classify(random_images(model, 1))
    model = model_of_three()
    for prior in (torch.ones(2), torch.tensor([1.0, 0.0, 1.0]), torch.tensor([1.0, 1.0, float("nan")])):
        with pytest.raises(UserError, match=r"^prior=.* 3 classes"):
            model.classify(random_images(model, 1), prior)
    with pytest.raises(UserError, match=r"^batch_size=0 "):
        model.classify(random_images(model, 1), batch_size=0)
    with pytest.raises(UserError, match=r"^images of"):
        model.classify(random_images(model, 1).float())
    with pytest.raises(UserError, match="likelihood=implicit "):
        model = model_of_three(partial(Implicit, num_features=4, num_noise=2))
        model.classify(random_images(model, 1))
