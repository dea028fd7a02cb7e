"""The network against the original's written out in numpy, for all that the golden numbers at hand do not cover."""

import numpy as np
import pytest
import torch

from pixelcnn.original.variables import parameters_by_original_name, to_original
from tests.original.conftest import original_model
from tests.original.reference import Reference


@pytest.mark.parametrize("classes", [0, 4])
@pytest.mark.parametrize("nonlinearity", ["concat_elu", "elu", "relu"])
@pytest.mark.parametrize("num_resnet_blocks", [1, 3])
def test_the_network_is_the_originals(classes, nonlinearity, num_resnet_blocks):
    options = dict(num_filters=2, num_mixtures=1, nonlinearity=nonlinearity, num_resnet_blocks=num_resnet_blocks)
    model = original_model(classes, **options).double()
    images = torch.randint(0, 256, (2, 3, 8, 12)).to(torch.uint8)
    labels = torch.tensor([1, 3]) if classes else None
    variables = {name: to_original(name, p) for name, p in parameters_by_original_name(model).items()}
    x = (images.double().permute(0, 2, 3, 1).numpy() - 127.5) / 127.5
    h = None if labels is None else np.eye(classes)[labels]
    expected = Reference(variables, num_resnet_blocks, nonlinearity)(x, h)
    with torch.no_grad():
        got = model.pixel_parameters(images, labels).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-10)
    incremental = model.pixel_parameters(images, labels, incremental=True).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(incremental, expected, rtol=0, atol=1e-10)


def test_dropout_is_element_wise():
    model = original_model(num_filters=8).double().train()
    block = model.network.layers["up0_u0"]
    seen = []
    block.conv2.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0][:, :, 1:, 1:-1]))
    block(torch.randn(4, 8, 32, 32, dtype=torch.float64))
    dropped = (seen[0] == 0).double()
    assert dropped.mean().item() == pytest.approx(0.5, abs=0.01)
    # A channel or a pixel dropped as a whole would have a mean of 0 or 1.
    assert dropped.mean((2, 3)).sub(0.5).abs().max() < 0.1 and dropped.mean(1).std() > 0.05
    # Dropout comes after the nonlinearity: what is kept is elu, from -1 on, scaled by 1 / (1 - 0.5).
    assert -2 <= seen[0].min().item() < -1.2
