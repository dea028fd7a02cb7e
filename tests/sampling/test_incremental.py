"""The incremental walk equals the parallel walk, and reads nothing that is not yet known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pixelcnn.sampling.incremental import IncrementalWalk
from tests.conftest import random_images, tiny_model
from tests.naive import naive_samples

configurations = st.fixed_dictionaries(
    dict(
        channels=st.sampled_from([1, 3]),
        num_filters=st.integers(1, 6),
        num_resnet_blocks=st.integers(1, 3),
        num_mixtures=st.integers(1, 3),
        nonlinearity=st.sampled_from(["concat_elu", "elu", "relu"]),
        levels=st.sampled_from([2, 17, 256]),
        seed=st.integers(0, 1000),
    )
)


@settings(max_examples=25)
@given(options=configurations, stages=st.integers(1, 4), rows=st.integers(1, 3), columns=st.integers(1, 3))
def test_it_equals_the_parallel_walk(options, stages, rows, columns):
    size = dict(num_stages=stages, height=rows * 2 ** (stages - 1), width=columns * 2 ** (stages - 1))
    for dtype, tolerance in [(torch.float32, 1e-5), (torch.float64, 1e-12)]:
        model = tiny_model(dtype, **options, **size)
        images = random_images(model, 2, seed=options["seed"])
        with torch.no_grad():
            parallel = model.pixel_parameters(images)
        incremental = model.pixel_parameters(images, incremental=True)
        # Errors grow with the values; gains far from 1 make some networks' values large.
        allowed = tolerance * max(1.0, parallel.abs().max().item())
        assert (incremental - parallel).abs().max().item() <= allowed


@pytest.mark.parametrize("channels", [1, 3])
def test_cached_and_naive_sampling_draw_the_same_images(channels):
    model = tiny_model(torch.float64, channels=channels, height=8, width=4, num_resnet_blocks=2)
    assert torch.equal(model.sample(3, seed=5), naive_samples(model, 3, seed=5))


def test_it_never_reads_a_pixel_before_it_is_written():
    model = tiny_model(torch.float64)
    walk = IncrementalWalk(model.network, 3, 2, 8, 8)
    for _ in range(2):
        walk.begin_images(None)
        for i in range(8):
            next_row = walk.image.rows.columns(back=walk.image.rows.depth - 1, first=0, step=1)
            with torch.inference_mode():
                next_row.fill_(torch.nan)

            def visit(j, group, parameters, i=i):
                assert parameters.isfinite().all(), (i, j)
                return torch.full((2, 3), 0.5, dtype=torch.float64)

            walk.run_row(i, visit)


def test_dropout_does_not_reach_it():
    model = tiny_model(torch.float64).train()
    images = random_images(model, 1)
    incremental = model.pixel_parameters(images, incremental=True)
    with torch.no_grad():
        assert (model.eval().pixel_parameters(images) - incremental).abs().max() < 1e-12
