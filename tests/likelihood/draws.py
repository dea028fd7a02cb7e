"""Comparing what a likelihood draws with what it scores."""

import numpy as np
import torch
from scipy import stats

from pixelcnn.likelihood import Likelihood


def all_values(levels: int, channels: int) -> torch.Tensor:
    """Every pixel there is, uint8 (levels^channels, channels, 1, 1)."""
    values = torch.cartesian_prod(*[torch.arange(levels, dtype=torch.uint8)] * channels)
    return values.view(-1, channels, 1, 1)


def drawn_pixels(of: Likelihood, parameters: torch.Tensor, n: int, channels: int) -> torch.Tensor:
    """n draws uint8 (n, C, 1, 1) of a pixel, group by group, from all its parameters (1, P, 1, 1), whatever it drew."""
    generator = torch.Generator().manual_seed(4)
    uniforms = torch.rand(n, of.num_uniforms, 1, 1, dtype=torch.float64, generator=generator)
    groups = zip(parameters.chunk(of.num_groups, 1), uniforms.chunk(of.num_groups, 1), strict=True)
    return torch.cat([of.sample_levels(p.expand(n, -1, -1, -1), u) for p, u in groups], dim=1)


def p_value(drawn: torch.Tensor, values: torch.Tensor, log_prob: torch.Tensor) -> float:
    """Of a chi-square test of ``drawn`` (n, C, 1, 1) against the log-probabilities of all ``values``."""
    levels, channels = int(values.max()) + 1, values.shape[1]
    expected = log_prob.flatten().exp().numpy() * len(drawn)
    code = sum(drawn[:, c, 0, 0].long() * levels ** (channels - 1 - c) for c in range(channels))
    observed = np.bincount(code.numpy(), minlength=len(values)).astype(float)
    # Cells too rare for the test join the likeliest one.
    rare, likeliest = expected < 5, expected.argmax()
    for counts in (observed, expected):
        counts[likeliest] += counts[rare].sum()
    return stats.chisquare(observed[~rare], expected[~rare]).pvalue
