"""`check_causal` refuses what sees a site that is not before it, by the pixels concerned, and nothing else."""

import copy
import re
from functools import partial
from typing import ClassVar

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from pixelcnn.causality import check_causal
from pixelcnn.errors import UserError
from pixelcnn.likelihood import Categorical
from pixelcnn.model import PixelModel, build
from tests.drawn import cases
from tests.test_family import OPTIONS, condition_for, tiny

HEIGHT, WIDTH = 3, 4
OFFSETS = st.tuples(st.integers(1 - HEIGHT, HEIGHT - 1), st.integers(1 - WIDTH, WIDTH - 1))
LEAK = r"parameters of pixel \((\d+), (\d+)\) depend on pixel \((\d+), (\d+)\)"


class Shifted(nn.Module):
    """Pixel (i, j) sees the pixels (i - down, j - right) of ``offsets``; the output layer may start as zeros."""

    def __init__(
        self, image_channels: int, num_parameters: int, *, offsets: list[list[int]], starts_at_zero: bool = False
    ) -> None:
        super().__init__()
        self.offsets = offsets
        self.hidden = nn.ModuleList(nn.Conv2d(image_channels, 5, 1) for _ in offsets)
        self.output = nn.Conv2d(5, num_parameters, 1)
        if starts_at_zero:
            nn.init.zeros_(self.output.weight)

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        layers = zip(self.hidden, self.offsets, strict=True)
        seen = [layer(F.pad(x, (right, -right, down, -down))) for layer, (down, right) in layers]
        return self.output(torch.tanh(sum(seen)))


def shifted(*offsets: tuple[int, int], height: int = HEIGHT, width: int = WIDTH, **options) -> PixelModel:
    return PixelModel((1, height, width, 5), partial(Shifted, offsets=[list(one) for one in offsets], **options))


def is_before(offset: tuple[int, int]) -> bool:
    return offset > (0, 0)


@cases(60)
@given(offsets=st.lists(OFFSETS, min_size=1, max_size=4), starts_at_zero=st.booleans())
def test_a_pixel_may_see_those_before_it_alone(offsets, starts_at_zero):
    model = shifted(*offsets, starts_at_zero=starts_at_zero)
    before = copy.deepcopy(model.state_dict())
    if all(map(is_before, offsets)):
        check_causal(model)
    else:
        with pytest.raises(UserError, match=r"model=Shifted .*causal") as refusal:
            check_causal(model)
        found = re.search(LEAK, str(refusal.value))
        assert found is not None
        i, j, y, z = map(int, found.groups())
        assert (i - y, j - z) in [offset for offset in offsets if not is_before(offset)]
        assert ("itself" in str(refusal.value)) == ((i, j) == (y, z))
    assert model.training and all(weight.grad is None for weight in model.parameters())
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


class Groups(nn.Module):
    """The parameters of channel k see those channels of their pixel that row k of ``sees`` has."""

    masked_channels: ClassVar[bool] = True

    def __init__(self, image_channels: int, num_parameters: int, num_groups: int, *, sees: list[list[bool]]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(image_channels, num_parameters // num_groups, 1) for _ in sees)
        self.register_buffer("masks", torch.tensor(sees).float()[:, :, None, None])

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return torch.cat([layer(mask * x) for layer, mask in zip(self.layers, self.masks, strict=True)], dim=1)


@cases(40)
@given(sees=st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=3, max_size=3), strict=st.booleans())
def test_a_channel_may_see_those_before_it_alone(sees, strict):
    sees = [[one and (seen < k or not strict) for seen, one in enumerate(row)] for k, row in enumerate(sees)]
    model = PixelModel((3, 2, 2, 5), partial(Groups, sees=sees), Categorical)
    if any(one and seen >= k for k, row in enumerate(sees) for seen, one in enumerate(row)):
        with pytest.raises(UserError, match=r"model=Groups .*\((\d, \d)\) .*\(\1\)"):
            check_causal(model)
    else:
        check_causal(model)


@pytest.mark.parametrize("offset", [(0, 0), (0, -1), (-1, 0), (-1, 3)])
@pytest.mark.parametrize("sites", [2, 3, 12])
def test_a_few_sites_find_a_leak_that_repeats(offset, sites):
    model = shifted((1, 0), (0, 1), height=8, width=8)
    check_causal(model, sites=sites)
    with pytest.raises(UserError, match="is not causal"):
        check_causal(shifted((1, 0), (0, 1), offset, height=8, width=8), sites=sites)


@pytest.mark.parametrize("side", [4, 6, 8])
@pytest.mark.parametrize("channel", range(3))
def test_a_few_sites_find_a_channel_that_sees_itself(channel, side):
    sees = [[seen < k or seen == k == channel for seen in range(3)] for k in range(3)]
    with pytest.raises(UserError, match="is not causal"):
        check_causal(PixelModel((3, side, side, 5), partial(Groups, sees=sees), Categorical), sites=12)


class Once(Shifted):
    """Of which one pixel alone sees itself."""

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        there = torch.zeros_like(x[:, :1])
        there[:, :, 1, 1] = 1
        return super().forward(x, h) + there * x[:, :1]


def test_all_sites_find_a_leak_at_one():
    model = PixelModel((1, HEIGHT, WIDTH, 5), partial(Once, offsets=[[0, 1]]))
    check_causal(model, sites=2)
    with pytest.raises(UserError, match=r"\(1, 1\) .*\(1, 1\)"):
        check_causal(model)


class Blind(nn.Module):
    """Sees nothing: every pixel has the same parameters."""

    def __init__(self, num_parameters: int, *, extra: int = 0) -> None:
        super().__init__()
        self.parameters_of_a_pixel = nn.Parameter(torch.randn(1, num_parameters + extra, 1, 1))

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return self.parameters_of_a_pixel.expand(len(x), -1, *x.shape[2:])


def test_a_network_that_sees_nothing_is_causal():
    check_causal(PixelModel((1, 2, 2), Blind))


def test_parameters_of_another_shape_are_refused():
    model = PixelModel((1, 2, 3), partial(Blind, extra=1))
    wanted = model.likelihood.num_parameters
    with pytest.raises(UserError, match=rf"\(1, {wanted + 1}, 2, 3\).* \(1, {wanted}, 2, 3\)"):
        check_causal(model)


@pytest.mark.parametrize("conditioning", ["none", "class", "vector", "spatial", "encoder"])
@pytest.mark.parametrize(
    ("network", "likelihood", "channels"),
    [
        ("pixelcnn_pp", "discretized_logistic_mixture", 3),
        ("pixelcnn_pp", "implicit", 1),
        ("gated_pixelcnn", "categorical", 3),
        ("pixelcnn", "categorical", 3),
        ("pixelcnn", "logistic_mixture", 1),
        ("pixelsnail", "discretized_logistic_mixture", 3),
    ],
)
def test_the_projects_own_networks_pass(network, likelihood, channels, conditioning):
    model = tiny(network, likelihood, conditioning, channels)
    check_causal(model)
    check_causal(model.float(), condition_for(model, 1))
    check_causal(build(model.description))
    assert model.description.network.target is OPTIONS[network].func


def test_a_network_alone_is_refused_in_one_sentence():
    with pytest.raises(UserError, match=r"Shifted .*pixelcnn\.PixelModel\(.*Shifted\)"):
        check_causal(Shifted(1, 5, offsets=[[0, 1]]))
