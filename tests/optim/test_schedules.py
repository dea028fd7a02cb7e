"""Schedules against their closed forms, and their states."""

import math
from functools import partial

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.optim.lr_scheduler import LambdaLR

from pixelcnn.optim import constant, cosine, exponential, linear, trapezoid
from tests.drawn import cases

LR = 0.003
FACTORS = st.floats(0, 1)
LENGTHS = st.integers(1, 40)
# Two of every kind.
SCHEDULES = [
    exponential,
    partial(exponential, decay=0.9, warmup=3),
    constant,
    partial(constant, warmup=0.2),
    linear,
    partial(linear, warmup=4, final=0.1),
    cosine,
    partial(cosine, warmup=0.1, final=0.1),
    trapezoid,
    partial(trapezoid, warmup=2, cooldown=5),
]


def optimizer_of_two_groups() -> torch.optim.Optimizer:
    groups = [
        {"params": [torch.zeros(1, requires_grad=True)]},
        {"params": [torch.zeros(2, requires_grad=True)], "lr": 1},
    ]
    return torch.optim.SGD(groups, lr=LR)


def rates(schedule: LambdaLR, steps: int) -> list[float]:
    """The learning rate of the first group at each of the next steps."""
    taken = []
    for _ in range(steps):
        taken.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.optimizer.step()
        schedule.step()
    return taken


def factors(make, total_steps: int, **options) -> list[float]:
    """The factor at every step of a run."""
    return [rate / LR for rate in rates(make(optimizer_of_two_groups(), total_steps, **options), total_steps)]


def warmed(step: int, warmup: int) -> float:
    return min(1, (step + 1) / warmup) if warmup else 1


@cases(50)
@given(total=LENGTHS, warmup=st.integers(0, 40), final=FACTORS)
def test_linear_and_cosine_go_from_one_to_the_final_factor(total, warmup, final):
    assume(warmup <= total)
    for make, remains in ((linear, lambda p: 1 - p), (cosine, lambda p: math.cos(math.pi * p / 2) ** 2)):
        positions = [max(0, step - warmup) / max(1, total - warmup) for step in range(total)]
        expected = [warmed(k, warmup) * (final + (1 - final) * remains(p)) for k, p in enumerate(positions)]
        assert factors(make, total, warmup=warmup, final=final) == pytest.approx(expected)


@cases(50)
@given(warmup=st.integers(0, 20), stays=st.integers(0, 20), cooldown=st.integers(1, 20), final=FACTORS)
def test_trapezoid_rises_stays_and_falls(warmup, stays, cooldown, final):
    total = warmup + stays + cooldown
    taken = factors(trapezoid, total, warmup=warmup, cooldown=cooldown, final=final)
    assert taken[:warmup] == pytest.approx([(step + 1) / warmup for step in range(warmup)])
    assert taken[warmup : total - cooldown + 1] == pytest.approx([1] * (total - warmup - cooldown + 1))
    expected = [1 - (1 - final) * step / cooldown for step in range(cooldown)]
    assert taken[total - cooldown :] == pytest.approx(expected)


@cases(50)
@given(total=LENGTHS, warmup=st.integers(0, 40))
def test_constant_is_its_warm_up(total, warmup):
    assume(warmup <= total)
    assert factors(constant, total, warmup=warmup) == pytest.approx([warmed(step, warmup) for step in range(total)])


@cases(50)
@given(decay=st.floats(0.5, 1, exclude_min=True), total=LENGTHS, warmup=st.integers(0, 40))
def test_exponential_decays_before_each_step(decay, total, warmup):
    assume(warmup <= total)
    expected = [warmed(step, warmup) * decay ** (step + 1) for step in range(total)]
    assert factors(exponential, total, decay=decay, warmup=warmup) == pytest.approx(expected)


def test_exponential_has_the_papers_rates_bit_for_bit():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.001)
    taken = rates(exponential(optimizer, decay=0.999995), 1000)
    assert taken == [0.001 * 0.999995 ** (step + 1) for step in range(1000)]


@pytest.mark.parametrize("make", SCHEDULES)
def test_a_run_resumed_from_a_state_has_the_same_rates(make):
    whole = rates(make(optimizer_of_two_groups(), 20), 25)
    first = make(optimizer_of_two_groups(), 20)
    rates(first, 7)
    optimizer = optimizer_of_two_groups()
    second = make(optimizer, 20)
    optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    assert rates(second, 18) == whole[7:]


@pytest.mark.parametrize("make", SCHEDULES)
def test_all_groups_are_scaled_alike(make):
    optimizer = optimizer_of_two_groups()
    schedule = make(optimizer, 20)
    for _ in range(20):
        one, two = (group["lr"] for group in optimizer.param_groups)
        assert one == pytest.approx(LR * two)
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("make", SCHEDULES)
def test_a_state_holds_no_length(make):
    assert make(optimizer_of_two_groups(), 20).state_dict() == make(optimizer_of_two_groups(), 30).state_dict() | {
        "_last_lr": make(optimizer_of_two_groups(), 20).get_last_lr()
    }


@pytest.mark.parametrize("make", [linear, cosine, trapezoid])
def test_the_final_factor_is_reached_at_the_end_and_kept(make):
    schedule = make(optimizer_of_two_groups(), 10, final=0.25)
    assert [rate / LR for rate in rates(schedule, 14)[10:]] == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("share, steps", [(0.25, 25), (0.999, 100), (0.004, 0)])
def test_a_warm_up_below_one_is_a_share_of_the_run(share, steps):
    assert factors(linear, 100, warmup=share) == factors(linear, 100, warmup=steps)


@pytest.mark.parametrize("make", [exponential, constant])
def test_what_does_not_decay_to_the_end_needs_no_length(make):
    assert rates(make(optimizer_of_two_groups(), None, warmup=2), 1) == pytest.approx([LR / 2], rel=1e-4)


@pytest.mark.parametrize("make", [linear, cosine, trapezoid])
def test_what_decays_to_the_end_needs_the_length(make):
    with pytest.raises(ValueError, match="total_steps=None"):
        make(optimizer_of_two_groups(), None)


@pytest.mark.parametrize(
    "make, options, named",
    [
        (exponential, {"decay": 0.0}, "decay=0.0"),
        (exponential, {"decay": 1.01}, "decay=1.01"),
        (constant, {"warmup": -1}, "warmup=-1"),
        (constant, {"warmup": 1.5}, "warmup=1.5"),
        (constant, {"warmup": 21}, "warmup=21"),
        (constant, {"warmup": math.nan}, "warmup=nan"),
        (constant, {"warmup": math.inf}, "warmup=inf"),
        (linear, {"final": -0.1}, "final=-0.1"),
        (cosine, {"final": 1.1}, "final=1.1"),
        (trapezoid, {"cooldown": -1}, "cooldown=-1"),
        (trapezoid, {"warmup": 11, "cooldown": 0.5}, r"warmup \+ cooldown=21"),
    ],
)
def test_what_is_out_of_range_is_named(make, options, named):
    with pytest.raises(ValueError, match=f"^{named} "):
        make(optimizer_of_two_groups(), 20, **options)


def test_a_share_of_a_run_needs_its_length():
    with pytest.raises(ValueError, match=r"^warmup=0\.1 "):
        constant(optimizer_of_two_groups(), None, warmup=0.1)
