"""The project's Adam against torch's; the original's formula is tested in tests/original/test_trajectory.py."""

import copy

import pytest
import torch

from pixelcnn.optim import Adam


def stepped(make, steps: int = 5, resumed_after: int | None = None, **options) -> list[torch.Tensor]:
    """Two parameters after some steps on drawn gradients, with the optimiser made again on the way."""
    torch.manual_seed(0)
    parameters = [torch.randn(shape, requires_grad=True) for shape in ((3, 4), (5,))]
    optimizer = make(parameters, **options)
    for step in range(steps):
        if step == resumed_after:
            state = copy.deepcopy(optimizer.state_dict())
            optimizer = make(parameters, **options)
            optimizer.load_state_dict(state)
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
    return [parameter.detach() for parameter in parameters]


def test_a_step_is_torchs_fused_one_bit_for_bit():
    options = {"lr": 0.01, "betas": (0.9, 0.99), "eps": 1e-6, "weight_decay": 0.1}
    expected = stepped(torch.optim.Adam, fused=True, **options)
    assert all(map(torch.equal, stepped(Adam, **options), expected))


def test_the_defaults_are_the_papers():
    defaults = Adam([torch.zeros(1, requires_grad=True)]).defaults
    assert (defaults["lr"], defaults["betas"], defaults["eps"]) == (0.001, (0.95, 0.9995), 1e-8)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_formulas_agree_where_epsilon_vanishes(weight_decay):
    options = {"eps": 0.0, "weight_decay": weight_decay}
    inside, outside = (stepped(Adam, epsilon_inside_root=inside, **options) for inside in (True, False))
    for one, other in zip(inside, outside, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("inside", [True, False])
def test_a_state_resumes_exactly(inside):
    whole = stepped(Adam, epsilon_inside_root=inside)
    assert all(map(torch.equal, stepped(Adam, epsilon_inside_root=inside, resumed_after=3), whole))


@pytest.mark.parametrize("inside", [True, False])
def test_a_closure_is_called_with_gradients_on(inside):
    parameter = torch.ones(1, requires_grad=True)
    optimizer = Adam([parameter], epsilon_inside_root=inside)

    def closure() -> torch.Tensor:
        loss = parameter.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 1 and parameter < 1


@pytest.mark.parametrize(
    "options, named",
    [
        ({"lr": 0.0}, "lr=0.0"),
        ({"lr": float("inf")}, "lr=inf"),
        ({"betas": (0.9, 1.0)}, r"betas=\(0.9, 1.0\)"),
        ({"betas": (0.9,)}, r"betas=\(0.9,\)"),
        ({"eps": -1.0}, "eps=-1.0"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1"),
    ],
)
def test_what_is_out_of_range_is_named(options, named):
    with pytest.raises(ValueError, match=f"^{named} "):
        Adam([torch.zeros(1, requires_grad=True)], **options)
