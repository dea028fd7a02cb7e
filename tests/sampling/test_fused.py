"""The Triton kernels of a pixel and its draw against plain torch, by Triton's interpreter."""

import pytest
import torch

from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import DiscretizedLogisticMixture, coupled_logistics
from pixelcnn.sampling import rows
from tests.conftest import tiny_model
from tests.interpreter import INTERPRETED, assert_passes_by_interpreter, by_interpreter, code_for_a_gpu, compiling

pytest.importorskip("triton")


@pytest.mark.skipif(INTERPRETED, reason="runs the others")
def test_by_the_interpreter():
    assert_passes_by_interpreter(__file__)


def taken(monkeypatch):
    """Kernels are, on a CPU too."""
    for module in (coupled_logistics, rows):
        monkeypatch.setattr(module, "has_kernels", lambda x: True)


@by_interpreter
@pytest.mark.parametrize(("channels", "levels", "mixtures"), [(3, 256, 10), (1, 256, 3), (3, 65536, 4), (1, 2, 1)])
def test_a_draw(monkeypatch, channels, levels, mixtures):
    likelihood = DiscretizedLogisticMixture(ImageShape(channels, 1, 1, levels=levels), num_mixtures=mixtures)
    parameters = 2 * torch.randn(50, likelihood.num_parameters, 1, 1, dtype=torch.float64)
    parameters[25:, 2 * mixtures :] -= 9  # log-scales below the least
    uniforms = torch.rand(50, likelihood.num_uniforms, 2, dtype=torch.float64)[..., 1:, None]
    expected = likelihood.sample_levels(parameters, uniforms)
    taken(monkeypatch)
    drawn = likelihood.sample_levels(parameters, uniforms)
    assert drawn.dtype == expected.dtype and torch.equal(drawn, expected)
    assert len(expected.unique()) > min(levels - 1, 10)


@by_interpreter
def test_other_temperatures_and_precisions_are_left_to_torch(monkeypatch):
    taken(monkeypatch)
    likelihood = DiscretizedLogisticMixture(ImageShape(3, 1, 1), num_mixtures=2)
    monkeypatch.setattr("pixelcnn.likelihood.fused.draw_levels", None)
    parameters, uniforms = torch.randn(4, 20, 1, 1), torch.rand(4, 5, 1, 1)
    for given, temperatures in ((parameters, (1.0, 1.0)), (parameters.double(), (1.0, 0.5))):
        likelihood.sample_levels(given, uniforms.double(), *temperatures)


@by_interpreter
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_a_block_writes(monkeypatch, dtype):
    from pixelcnn.sampling.fused import write_concat_elu, write_gated

    values = torch.tensor([0.0, 1e-4, -1e-4, -0.24, -0.26, -3.0, -40.0, 2.0], dtype=dtype)
    x, ab = values.repeat(3, 40), torch.randn(640, 3, dtype=dtype).t()
    row = torch.full((3, 2, 640), 7.0, dtype=dtype)
    precise = dict(rtol=4 * torch.finfo(dtype).eps, atol=torch.finfo(dtype).eps / 4)
    write_concat_elu(x.t().contiguous().t(), row[:, 1])
    torch.testing.assert_close(row[:, 1], torch.nn.functional.elu(torch.cat([x, -x], dim=1)), **precise)
    pixel, expected = torch.empty_like(x), x + torch.nn.functional.glu(ab, dim=1)
    write_gated(x, ab, pixel, None)
    torch.testing.assert_close(pixel, expected, rtol=1e-6, atol=1e-6)
    write_gated(x, ab, pixel, row[:, 1])
    torch.testing.assert_close(row[:, 1], torch.nn.functional.elu(torch.cat([pixel, -pixel], dim=1)), **precise)
    assert (row[:, 0] == 7).all()


@by_interpreter
def test_a_model_draws_the_same_images_by_them(monkeypatch):
    model = tiny_model(torch.float64, height=4, width=4, num_filters=3, num_stages=2)
    expected = model.sample(2, seed=1)
    taken(monkeypatch)
    assert torch.equal(model.sample(2, seed=1), expected)


@by_interpreter
def test_a_model_of_16_bits_is_left_to_torch(monkeypatch):
    model = tiny_model(torch.bfloat16, height=2, width=2, num_filters=2, num_stages=1)
    taken(monkeypatch)
    monkeypatch.setattr("pixelcnn.sampling.fused.write_concat_elu", None)
    monkeypatch.setattr("pixelcnn.sampling.fused.write_gated", None)
    assert model.sample(1).shape == (1, 3, 2, 2)


@compiling
@pytest.mark.parametrize("dtype", ["fp32", "fp64"])
def test_they_compile_for_a_gpu(dtype):
    from pixelcnn.likelihood import fused as of_draws
    from pixelcnn.sampling import fused

    pointers = dict.fromkeys(("value", "pixel", "x", "ab", "activation"), f"*{dtype}")
    assert code_for_a_gpu(fused._concat_elu, pointers, {"block": 256})
    assert code_for_a_gpu(fused._gate, pointers, {"block": 256, "activates": True})
    if dtype == "fp64":
        types = {"parameters": "*fp64", "uniforms": "*fp64", "drawn": "*u8", "min_log_scale": "fp32"}
        assert code_for_a_gpu(of_draws._draw, types, {"mixtures": 10, "padded": 16, "channels": 3, "images": 16})
