"""The nonlinearities against the formulas that they stand for, and the elements that dropout keeps."""

import pytest
import torch
import torch.nn.functional as F

from pixelcnn.network.nonlinearities import NONLINEARITIES, Padding, concat_elu, gated, kept

EDGES = [0.0, -0.0, 1e-30, -1e-30, 1e-4, -1e-4, 20.0, -20.0, 1e30, -1e30, float("inf"), float("-inf")]


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_concat_elu_is_the_elu_of_both_signs_to_the_last_bit(order):
    x = torch.cat([3 * torch.randn(2, 5, 4, 6), torch.tensor(EDGES).view(1, 2, 1, 6).expand(2, 2, 4, 6)], dim=1)
    x = x.to(memory_format=order).requires_grad_()
    y, expected = concat_elu(x), F.elu(torch.cat([x, -x], dim=1))
    assert torch.equal(y, expected)
    assert y.is_contiguous(memory_format=order)
    gradient = torch.randn_like(y)
    (of_y,), (of_expected,) = (torch.autograd.grad(value, x, gradient) for value in (y, expected))
    # At zero the two halves' slopes are one, whichever side counts.
    torch.testing.assert_close(of_y, of_expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.3, 0.5])
def test_the_gradient_of_concat_elu_with_dropout(dropout):
    def repeatable(x):
        torch.manual_seed(0)
        return concat_elu(x, dropout)

    assert torch.autograd.gradcheck(repeatable, torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize("name", NONLINEARITIES)
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_padding_adds_zeros_beside_the_same_values_and_gradients(name, order):
    nonlinearity, _ = NONLINEARITIES[name]
    padding = Padding(left=1, right=2, above=3, below=0)
    x = torch.randn(2, 3, 4, 5).to(memory_format=order).requires_grad_()
    y, expected = nonlinearity(x, padding=padding), F.pad(nonlinearity(x), padding)
    assert torch.equal(y, expected) and y.is_contiguous(memory_format=order)
    gradient = torch.randn_like(y)
    (of_y,), (of_expected,) = (torch.autograd.grad(value, x, gradient) for value in (y, expected))
    assert torch.equal(of_y, of_expected) and of_y.is_contiguous(memory_format=order)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_padded_activation_is_kept_once(dropout):
    x, weight = torch.randn(2, 3, 4, 5, requires_grad=True), torch.randn(4, 6, 2, 3, requires_grad=True)
    kept_storages = set()
    with torch.autograd.graph.saved_tensors_hooks(
        lambda value: kept_storages.add(value.untyped_storage().data_ptr()) or value, lambda value: value
    ):
        y = concat_elu(x, dropout, Padding(1, 1, 1, 0))
        F.conv2d(y, weight)
    masks = 1 if dropout else 0
    assert kept_storages >= {y.data_ptr(), weight.data_ptr()} and len(kept_storages) == 2 + masks


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_the_gate_and_its_gradient(order):
    x, ab = (torch.randn(2, channels, 4, 5, dtype=torch.float64).to(memory_format=order) for channels in (3, 6))
    x.requires_grad_(), ab.requires_grad_()
    y = gated(x, ab)
    torch.testing.assert_close(y, x + F.glu(ab, dim=1), rtol=1e-15, atol=1e-15)
    assert y.is_contiguous(memory_format=order)
    assert torch.autograd.gradcheck(gated, (x, ab))


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_dropout_zeroes_some_elements_and_scales_up_the_others(name):
    nonlinearity, expansion = NONLINEARITIES[name]
    x = torch.rand(50, 2, 32, 32) + 0.5
    without, y = nonlinearity(x), nonlinearity(x, 0.3)
    assert y.shape == (50, 2 * expansion, 32, 32)
    zero = y == 0
    torch.testing.assert_close(y[~zero], without[~zero] / 0.7)
    share = zero[:, :2].float().mean().item()
    assert share == pytest.approx(0.3, abs=5 * (0.3 * 0.7 / x.numel()) ** 0.5)


@pytest.mark.parametrize("dropout", [0.1, 0.25, 0.5, 0.9])
def test_what_is_kept_is_independent_of_its_neighbours_and_of_its_place(dropout):
    torch.manual_seed(1)
    keep = kept(torch.empty(64, 16, 16, 16), dropout).double()  # words of 4 or 8 pieces, each place in them alike
    assert keep.mean(0).flatten().unflatten(0, (-1, 8)).mean(0).sub(1 - dropout).abs().max() < 0.01
    centered = (keep.flatten() - keep.mean()) / keep.std()
    for lag in (1, 2, 4, 8, 16):
        assert (centered[lag:] * centered[:-lag]).mean().abs() < 0.01


def test_a_seed_draws_the_same_elements_again_in_any_order_of_memory():
    x = torch.empty(2, 3, 5, 7)
    masks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        masks.append(kept(x, 0.5))
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])
    assert kept(x.to(memory_format=torch.channels_last), 0.5).is_contiguous(memory_format=torch.channels_last)
