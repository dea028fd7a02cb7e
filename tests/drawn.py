"""What Hypothesis draws: whole descriptions of models small enough for a test, their weights, images and conditions."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from pixelcnn.conditioning import (
    ClassLabels,
    CoarseCodes,
    Condition,
    Conditioning,
    Encoder,
    Maps,
    Unconditional,
    Vectors,
)
from pixelcnn.conditioning.condition import in_each
from pixelcnn.conditioning.several import gathered, kinds_of
from pixelcnn.description import ModelDescription
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import Categorical, DiscretizedLogisticMixture, Implicit, LogisticMixture
from pixelcnn.model import PixelModel, build
from pixelcnn.network import GatedPixelCNN, PixelCNN, PixelCNNPP, PixelSNAIL
from tests.conftest import randomised

EXACT = ("discretized_logistic_mixture", "categorical")
SCORED = (*EXACT, "logistic_mixture")
LIKELIHOODS = {kind.name: kind for kind in (DiscretizedLogisticMixture, Categorical, LogisticMixture, Implicit)}
MODELS = {kind.name: kind for kind in (PixelCNNPP, GatedPixelCNN, PixelCNN, PixelSNAIL)}
NONLINEARITIES = ("concat_elu", "elu", "relu")
TAILS = ("exact", "original")
EVERY = tuple(LIKELIHOODS)

seeds = st.integers(0, 2**16)
channel_counts = st.sampled_from([1, 3])
level_counts = st.sampled_from([2, 3, 17, 255, 256]) | st.integers(2, 256)
CONDITIONINGS: dict[str, st.SearchStrategy[Any]] = {
    "none": st.just(partial(Unconditional)),
    "class": st.builds(partial, st.just(ClassLabels), num_classes=st.integers(1, 4)),
    "vector": st.builds(partial, st.just(Vectors), num_features=st.integers(1, 3)),
    "spatial": st.builds(partial, st.just(Maps), num_features=st.integers(1, 3)),
    "encoder": st.builds(partial, st.just(Encoder), code_size=st.integers(1, 3), num_filters=st.integers(1, 3)),
    "coarse": st.builds(partial, st.just(CoarseCodes), num_codes=st.integers(1, 4), num_features=st.integers(1, 3)),
}
several = st.lists(
    st.sampled_from([name for name in CONDITIONINGS if name != "none"]), min_size=2, max_size=3, unique=True
)
conditionings = st.one_of(
    *CONDITIONINGS.values(),
    several.flatmap(lambda names: st.fixed_dictionaries({name: CONDITIONINGS[name] for name in names})),
)


def cases(n: int) -> settings:
    """Settings for n cases: half of them in everyday runs, which draw the same each time."""
    return settings(max_examples=n // 2 if settings.get_current_profile_name() == "same" else n)


def networks(name: str, groups: int, stages: int = 3) -> st.SearchStrategy[Any]:
    """Options of the network ``name`` for channels in ``groups``, of at most ``stages`` resolutions."""
    dropouts, scales = st.floats(0, 0.9), st.floats(0.01, 2)
    if name == "pixelsnail":
        return st.builds(
            partial,
            st.just(PixelSNAIL),
            num_filters=st.integers(1, 4),
            num_attention_blocks=st.integers(1, 2),
            num_resnet_blocks=st.integers(1, 2),
            num_key_features=st.integers(1, 3),
            num_value_features=st.integers(1, 3),
            nonlinearity=st.sampled_from(NONLINEARITIES),
            dropout=dropouts,
            block_init_scale=scales,
            output_init_scale=scales,
        )
    if name == "pixelcnn_pp":
        return st.builds(
            partial,
            st.just(PixelCNNPP),
            num_filters=st.integers(1, 4),
            num_resnet_blocks=st.integers(1, 2),
            num_stages=st.integers(1, stages),
            nonlinearity=st.sampled_from(NONLINEARITIES),
            dropout=dropouts,
            short_cuts=st.booleans(),
            block_init_scale=scales,
            output_init_scale=scales,
        )
    kind, depth = {"gated_pixelcnn": (GatedPixelCNN, "num_layers"), "pixelcnn": (PixelCNN, "num_blocks")}[name]
    widths = st.integers(1, 2 if groups > 1 else 4).map(lambda width: groups * width)
    return st.builds(
        partial,
        st.just(kind),
        num_filters=widths,
        num_output_features=widths,
        first_kernel_size=st.sampled_from([3, 5, 7]),
        kernel_size=st.sampled_from([3, 5]),
        dropout=dropouts,
        **{depth: st.integers(1, 3)},
    )


def likelihoods(name: str, levels: int) -> st.SearchStrategy[Any]:
    """Options of the likelihood ``name`` that images of so many levels can have."""
    of_mixtures = {
        "num_mixtures": st.integers(1, 4),
        "residual": st.sampled_from(("none", "left", "gradient", "neighbours")),
        "spread": st.booleans(),
    }
    return {
        "discretized_logistic_mixture": st.builds(
            partial,
            st.just(DiscretizedLogisticMixture),
            **of_mixtures,
            tails=st.sampled_from(TAILS) if levels == 256 else st.just("exact"),
        ),
        "categorical": st.just(partial(Categorical)),
        "logistic_mixture": st.builds(partial, st.just(LogisticMixture), **of_mixtures),
        "implicit": st.builds(partial, st.just(Implicit), num_features=st.integers(1, 4), num_noise=st.integers(1, 3)),
    }[name]


def stride_of(network: partial[Any]) -> int:
    """What divides the heights and widths that a network of these options takes."""
    return 2 ** (network.keywords.get("num_stages", 1) - 1)


@st.composite
def descriptions(
    draw: Callable,
    of: Sequence[str] = EVERY,
    side: int = 8,
    named: Sequence[str] = tuple(MODELS),
    channels_of: st.SearchStrategy[int] = channel_counts,
    levels_of: st.SearchStrategy[int] = level_counts,
    conditioned: st.SearchStrategy[Any] = conditionings,
) -> ModelDescription:
    """A network ``named`` so with one of the likelihoods ``of``, for images up to ``side`` high and wide."""
    network, likelihood = draw(st.sampled_from(named)), draw(st.sampled_from(of))
    channels, num_levels = draw(channels_of), draw(levels_of)
    groups = channels if MODELS[network].masked_channels and likelihood == "categorical" else 1
    model = draw(networks(network, groups))
    stride = stride_of(model)
    height, width = (stride * draw(st.integers(1, side // stride)) for _ in range(2))
    return ModelDescription(
        ImageShape(channels, height, width, num_levels),
        model,
        draw(likelihoods(likelihood, num_levels)),
        draw(conditioned),
    )


def model_of(description: ModelDescription, seed: int, dtype: torch.dtype = torch.float64) -> PixelModel:
    """The model in evaluation mode, every weight random."""
    torch.manual_seed(seed)
    return randomised(build(description)).to(dtype).eval()


def given_to(model: PixelModel, n: int, seed: int, size: tuple[int, int] | None = None) -> tuple[Tensor, Condition]:
    """n images, of the model's own size or of ``size``, and a condition for each, of any form that the model takes.

    For an even seed the condition, if there is one, is floats.
    """
    shape = model.image
    size = size or (shape.height, shape.width)
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(shape.levels, (n, shape.channels, *size), generator=generator).to(torch.uint8)
    others = torch.randint(shape.levels, images.shape, generator=generator).to(torch.uint8)
    kinds = kinds_of(model.conditioning)
    given = {
        key: others if key == "images" and seed % 2 else _condition(kind, key, n, seed, size, generator)
        for key, kind in kinds.items()
    }
    return images, gathered(model.conditioning, given)


def _condition(
    kind: Conditioning, key: str, n: int, seed: int, size: tuple[int, int], generator: torch.Generator
) -> Tensor:
    """Maps are of the images' height and width, or of 1, which divides both."""
    most = {"labels": kind.features, "coarse": getattr(kind, "num_codes", 0)}
    smaller = tuple(side if seed % 3 else 1 for side in size)
    if key in most and seed % 2:
        return torch.randint(most[key], (n, *(smaller if key == "coarse" else ())), generator=generator)
    return torch.randn(n, kind.features, *(smaller if key in ("maps", "coarse") else ()), generator=generator)


def part(condition: Condition, which: Any) -> Condition:
    """The conditions of some images."""
    return in_each(condition, lambda one: one[which])
