"""log softmax in the memory of its logits: the plain formula's values and gradients, and how many bytes it takes."""

import weakref
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import Categorical, softmax
from pixelcnn.likelihood.softmax import LogSoftmaxAt
from pixelcnn.model import PixelModel
from pixelcnn.network import GatedPixelCNN, PixelCNNPP


class PeakBytes(TorchDispatchMode):
    """The most bytes that tensors made within it take together at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self.known:
                storage = tensor.untyped_storage()
                self.known.add(storage._cdata)
                self.now += storage.nbytes()
                weakref.finalize(storage, self.freed, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.now)
        return out

    def freed(self, place, size):
        self.known.discard(place)
        self.now -= size


def plain(parameters, levels, x, num_groups):
    """The formula of `pixelcnn.likelihood.categorical`, written out."""
    groups = parameters.chunk(num_groups, dim=1)
    if num_groups == x.shape[1]:
        logits = groups
    else:
        r, g, a, b, c, d = parameters.chunk(6, dim=1)
        logits = r, g + a * x[:, :1], b + c * x[:, :1] + d * x[:, 1:2]
    return torch.cat([F.log_softmax(one, 1).gather(1, levels[:, k, None]) for k, one in enumerate(logits)], 1)


CASES = [(1, 1, 1), (3, 3, 3), (3, 1, 6), (2, 2, 2)]  # channels, groups, rows of levels


def case(channels, rows, num_levels=5, n=3, dtype=torch.float64):
    parameters = torch.randn(n, rows * num_levels, 4, 2, dtype=dtype, requires_grad=True)
    levels = torch.randint(0, num_levels, (n, channels, 4, 2))
    return parameters, levels, torch.rand(n, channels, 4, 2, dtype=dtype)


@pytest.mark.parametrize("at_once", [softmax.AT_ONCE, 60, 1])
@pytest.mark.parametrize("spend", [False, True])
@pytest.mark.parametrize("channels, groups, rows", CASES)
def test_it_is_the_plain_formula(monkeypatch, channels, groups, rows, spend, at_once):
    monkeypatch.setattr(softmax, "AT_ONCE", at_once)
    leaf, levels, x = case(channels, rows)
    weight = torch.randn(levels.shape, dtype=torch.float64)
    expected = plain(leaf, levels, x, groups)
    (of_plain,) = torch.autograd.grad((expected * weight).sum(), leaf)
    parameters = leaf * 1  # which does not read its result for its gradient
    log_prob = LogSoftmaxAt.apply(parameters, levels, x, groups, spend)
    torch.testing.assert_close(log_prob, expected, rtol=1e-12, atol=1e-12)
    (gradient,) = torch.autograd.grad((log_prob * weight).sum(), leaf)
    torch.testing.assert_close(gradient, of_plain, rtol=1e-12, atol=1e-12)
    assert torch.equal(parameters, leaf) != spend


@pytest.mark.parametrize("channels, groups, rows", CASES)
def test_gradcheck(channels, groups, rows):
    parameters, levels, x = case(channels, rows)
    assert torch.autograd.gradcheck(lambda p: LogSoftmaxAt.apply(p, levels, x, groups, False), parameters)


def test_a_step_at_1024_levels_holds_the_logits_once():
    n, num_levels, side = 16, 1024, 32
    features = torch.randn(n, 4, side, side)
    weight = torch.randn(num_levels, 4, 1, 1, requires_grad=True)
    levels = torch.randint(0, num_levels, (n, 1, side, side))
    likelihood = Categorical(ImageShape(1, side, side, num_levels))
    logits = n * num_levels * side**2 * 4

    def peak(loss):
        with PeakBytes() as bytes_:
            loss(F.conv2d(features, weight)).backward()
        return bytes_.peak / logits

    assert peak(lambda p: F.cross_entropy(p, levels[:, 0])) > 2.9
    assert peak(lambda p: -likelihood.log_prob(p, levels).mean()) < 2.5  # the logits, their gradient, a part of both
    assert peak(lambda p: -likelihood.log_prob_spending(p, levels).mean()) < 1.5


def test_training_spends_the_parameters_and_evaluation_does_not():
    network = partial(GatedPixelCNN, num_filters=4, num_layers=1, num_output_features=4)
    model = PixelModel(ImageShape(1, 4, 4, 300), network, Categorical)
    images, weights = torch.randint(0, 300, (2, 1, 4, 4)), list(model.parameters())
    model.train()
    spent = model.log_prob(images).sum()
    gradients = torch.autograd.grad(spent, weights, retain_graph=True)
    with pytest.raises(RuntimeError, match="inplace"):
        torch.autograd.grad(spent, weights)
    model.eval()
    whole = model.log_prob(images).sum()
    for _ in range(2):
        for one, other in zip(torch.autograd.grad(whole, weights, retain_graph=True), gradients, strict=True):
            torch.testing.assert_close(one, other)


def test_parameters_that_their_maker_reads_are_not_spent():
    likelihood = Categorical(ImageShape(1, 2, 2, 7))
    leaf, levels = torch.randn(3, 7, 2, 2, dtype=torch.float64, requires_grad=True), torch.randint(0, 7, (3, 1, 2, 2))
    torch.autograd.gradcheck(lambda p: likelihood.log_prob_spending(torch.tanh(p), levels), leaf)


def test_codes_of_several_channels_without_a_masked_network():
    """Each later channel's logits are linear in all before it, scaled."""
    model = PixelModel(ImageShape(4, 2, 2, 3), partial(PixelCNNPP, num_filters=2, num_stages=1), Categorical)
    assert model.likelihood.num_parameters == 3 * (1 + 2 + 3 + 4)
    model = model.double().eval()
    one = torch.cartesian_prod(*[torch.arange(3)] * 4).view(-1, 4, 1, 1)
    parameters = torch.randn(1, model.likelihood.num_parameters, 1, 1, dtype=torch.float64).expand(81, -1, -1, -1)
    assert abs(float(model.likelihood.log_prob(parameters, one).exp().sum()) - 1) < 1e-12
