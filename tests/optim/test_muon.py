"""Muon against singular value decompositions, and what must not change its steps."""

import copy
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from pixelcnn.data.digits import Digits
from pixelcnn.model import build
from pixelcnn.optim import Adam, Muon, build_optimizer, build_schedule, hidden_matrices, linear
from pixelcnn.optim.muon import COEFFICIENTS, orthogonalised
from tests.conftest import tiny_description, tiny_model
from tests.drawn import cases

SIZES = st.integers(1, 12)


def iterated(values: Tensor, steps: int) -> Tensor:
    """Singular values after some steps of the iteration."""
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        values = a * values + b * values**3 + c * values**5
    return values


@cases(50)
@given(rows=SIZES, columns=SIZES, steps=st.integers(1, 7), seed=st.integers(0, 1000))
def test_the_iteration_moves_singular_values_alone(rows, columns, steps, seed):
    generator = torch.Generator().manual_seed(seed)
    matrices = torch.randn(3, rows, columns, dtype=torch.float64, generator=generator) * 10.0 ** (seed % 9 - 4)
    u, values, v = torch.linalg.svd(matrices, full_matrices=False)
    values = iterated(values / torch.linalg.vector_norm(values, dim=1, keepdim=True), steps)
    torch.testing.assert_close(orthogonalised(matrices, steps), u * values[:, None] @ v, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(16, 40), (40, 16), (1, 30), (24, 24)])
def test_what_comes_out_is_close_to_the_polar_factor(shape):
    torch.manual_seed(0)
    u, _, v = torch.linalg.svd(torch.randn(*shape, dtype=torch.float64), full_matrices=False)
    values = torch.logspace(-1.9, 0, min(shape), dtype=torch.float64)
    values /= torch.linalg.vector_norm(values)
    result = orthogonalised((u * values @ v)[None])[0]
    after = torch.linalg.svdvals(result)
    assert after.min() > 0.68 and after.max() < 1.14
    polar = u @ v
    assert torch.linalg.matrix_norm(result - polar, 2) < 0.32


def test_all_values_to_a_hundredth_of_the_norm_come_into_the_band():
    after = iterated(torch.logspace(-2, 0, 10**5, dtype=torch.float64), 5)
    assert after.min() > 0.68 and after.max() < 1.14
    assert iterated(torch.linspace(0, 1, 10**5, dtype=torch.float64), 5).max() < 1.21


def test_a_matrix_of_zeros_stays_one():
    assert not orthogonalised(torch.zeros(2, 3, 4)).any()


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (64, 384)])
def test_a_batch_is_its_matrices_one_by_one(shape):
    matrices = torch.randn(5, *shape)
    one_by_one = torch.cat([orthogonalised(matrix[None]) for matrix in matrices])
    assert torch.equal(orthogonalised(matrices), one_by_one)


def with_gradients(model, step: int) -> None:
    """Gradients drawn for a step."""
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        # In the parameter's order in memory, as autograd has it.
        parameter.grad = torch.empty_like(parameter).copy_(torch.randn(parameter.shape, generator=generator))


def stepped(
    model=None, make=Muon, steps: int = 3, resumed_after: int | None = None, memory_format=None
) -> dict[str, Tensor]:
    """The weights of a model after steps on drawn gradients, the optimiser saved and made again on the way, for weights
    in another order in memory."""
    model = tiny_model() if model is None else model
    optimizer = build_optimizer(make, model)
    for step in range(steps):
        if step == resumed_after:
            state = copy.deepcopy(optimizer.state_dict())
            if memory_format is not None:
                model.to(memory_format=memory_format)
            optimizer = build_optimizer(make, model)
            optimizer.load_state_dict(state)
        with_gradients(model, step)
        optimizer.step()
    return {name: parameter.detach().contiguous() for name, parameter in model.named_parameters()}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def by_hand(model, steps: int, lr: float, momentum: float, weight_decay: float) -> dict[str, Tensor]:
    """Muon's definition, one matrix at a time; torch's AdamW for the others."""
    axes = hidden_matrices(model)
    named = dict(model.named_parameters())
    others = [parameter for name, parameter in named.items() if name not in axes]
    adam = torch.optim.AdamW(others, lr=0.003, betas=(0.9, 0.99), weight_decay=weight_decay)
    momenta = {name: torch.zeros_like(named[name]) for name in axes}
    for step in range(steps):
        with_gradients(model, step)
        adam.step()
        for name, axis in axes.items():
            parameter, gradient = named[name].data, named[name].grad
            momenta[name] = momentum * momenta[name] + gradient
            update = (gradient + momentum * momenta[name]).transpose(0, axis)
            u, values, v = torch.linalg.svd(update.flatten(1), full_matrices=False)
            direction = u * iterated(values / torch.linalg.vector_norm(values), 5) @ v
            scale = 0.2 * max(direction.shape) ** 0.5
            moved = direction.view(update.shape).transpose(0, axis)
            parameter.mul_(1 - lr * weight_decay).sub_(lr * scale * moved)
    return {name: parameter.detach() for name, parameter in named.items()}


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_a_step_is_its_definition(weight_decay):
    expected = by_hand(tiny_model(torch.float64), 3, 0.02, 0.9, weight_decay)
    make = partial(Muon, lr=0.02, momentum=0.9, weight_decay=weight_decay)
    torch.testing.assert_close(stepped(tiny_model(torch.float64), make), expected, rtol=0, atol=1e-9)


def test_a_state_resumes_exactly():
    assert_equal(stepped(resumed_after=2), stepped())


def test_a_state_survives_a_file_without_code(tmp_path):
    model = tiny_model()
    optimizer = build_optimizer(Muon, model)
    with_gradients(model, 0)
    optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "state")
    read = torch.load(tmp_path / "state", weights_only=True)
    state = optimizer.state_dict()
    assert read["param_groups"] == state["param_groups"]
    torch.testing.assert_close(read["state"], state["state"], rtol=0, atol=0)


def test_the_order_in_memory_does_not_matter():
    assert_equal(stepped(tiny_model().to(memory_format=torch.channels_last)), stepped())


@pytest.mark.parametrize("make", [Adam, Muon])
def test_a_run_resumes_exactly_in_another_order_in_memory(make):
    assert_equal(stepped(make=make, resumed_after=2, memory_format=torch.channels_last), stepped(make=make))


def test_parameters_without_a_gradient_stay():
    model = tiny_model()
    optimizer = build_optimizer(Muon, model)
    before = copy.deepcopy(model.state_dict())
    optimizer.step()
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert not optimizer.state


def _of_rank(rank: int, directory: Path) -> None:
    dist.init_process_group("gloo", f"file://{directory}/meeting", rank=rank, world_size=2)
    torch.save(stepped(), directory / f"{rank}")
    dist.destroy_process_group()


def test_two_processes_take_the_steps_of_one(tmp_path):
    mp.start_processes(_of_rank, (tmp_path,), nprocs=2, start_method="fork")
    expected = stepped()
    for rank in range(2):
        assert_equal(torch.load(tmp_path / str(rank), weights_only=True), expected)


def test_without_names_every_matrix_is_orthogonalised():
    parameters = [torch.zeros(shape, requires_grad=True) for shape in ((3,), (2, 3), (4, 3, 2, 2))]
    kinds = {group["out_dim"]: len(group["params"]) for group in Muon(parameters).param_groups}
    assert kinds == {0: 2, None: 1}


def test_matrices_that_are_no_parameters_are_named():
    with pytest.raises(ValueError, match=r"matrices=.*u_init\.conv\.v"):
        model = tiny_model()
        Muon(model.parameters(), matrices={"network.layers.u_init.conv.v": 0})


@pytest.mark.parametrize(
    "options, named",
    [
        ({"lr": 0.0}, "lr=0.0"),
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"ns_steps": 0}, "ns_steps=0"),
        ({"adam_lr": -1.0}, "adam_lr=-1.0"),
        ({"adam_betas": (0.9, 1.0)}, r"adam_betas=\(0.9, 1.0\)"),
        ({"adam_eps": -1.0}, "adam_eps=-1.0"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1"),
    ],
)
def test_what_is_out_of_range_is_named(options, named):
    for group, of_all in (({}, options), (options, {})):
        with pytest.raises(ValueError, match=f"^{named} "):
            Muon([{"params": [torch.zeros(2, 2, requires_grad=True)], **group}], **of_all)


def bits_per_dim_after(make, steps: int) -> float:
    """The score of 299 digits after training on others, with the learning rate falling to zero."""
    data = Digits(batch_size=16, val_size=0, num_workers=0, seed=0)
    images, unseen = (torch.from_numpy(data.load(split).images) for split in ("train", "test"))
    torch.manual_seed(0)
    model = build(tiny_description(channels=1, levels=17, num_filters=16, num_stages=2, dropout=0.0, num_mixtures=3))
    optimizer = build_optimizer(make, model)
    schedule = build_schedule(partial(linear, warmup=0.1), optimizer, steps)
    for chosen in torch.randint(len(images), (steps, 16)):
        optimizer.zero_grad()
        (-model.log_prob(images[chosen]).sum()).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return model.bits_per_dim(unseen).mean().item()


def test_digits_are_learned_faster_than_by_adam():
    # Adam's best of 1e-3, 3e-3, 6e-3 and 1e-2.
    by_adam = bits_per_dim_after(partial(Adam, lr=6e-3, betas=(0.9, 0.99)), 60)
    assert bits_per_dim_after(partial(Muon, lr=0.02, adam_lr=0.01), 60) < by_adam - 0.04
