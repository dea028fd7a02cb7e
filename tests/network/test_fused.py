"""The Triton kernels against the plain formula, by Triton's interpreter."""

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from pixelcnn.network import kernels, nonlinearities
from pixelcnn.network.nonlinearities import Padding, concat_elu, gated
from tests.interpreter import INTERPRETED, assert_passes_by_interpreter, by_interpreter, code_for_a_gpu, compiling

pytest.importorskip("triton")

ORDERS = (torch.contiguous_format, torch.channels_last)
EDGES = [0.0, -0.0, 1e-30, -1e-30, 1e-4, -1e-4, -0.49, -0.51, 20.0, -20.0, 1e30, -1e30]
# Of float32, and of bf16 where it is cut, as the interpreter does, and not rounded.
ROUNDING = {torch.float32: 2.5e-7, torch.bfloat16: 2**-7}


@pytest.mark.skipif(INTERPRETED, reason="runs the others")
def test_by_the_interpreter():
    assert_passes_by_interpreter(__file__)


def test_the_environment_turns_the_kernels_off(monkeypatch):
    there = kernels._compile.__wrapped__
    monkeypatch.setattr(kernels.shutil, "which", lambda program: program)
    monkeypatch.setattr(kernels.Path, "exists", lambda path: True)
    assert there()
    monkeypatch.setenv("PIXELCNN_TRITON", "0")
    assert not there()


@pytest.fixture(scope="module")
def fused():
    """Its function, by programs of few elements, so that a row takes several of them."""
    from pixelcnn.network import fused

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "BLOCK", 64)
        yield fused.FusedConcatElu.apply


@by_interpreter
@pytest.mark.parametrize(
    ("shape", "padding", "order", "dtype", "cut"),
    [
        ((2, 3, 4, 5), (1, 2, 3, 0), ORDERS[0], torch.float32, False),
        ((2, 3, 4, 5), (1, 2, 0, 1), ORDERS[1], torch.float32, False),
        ((1, 12, 2, 3), (0, 0, 0, 0), ORDERS[0], torch.bfloat16, True),
        ((2, 5, 2, 3), (1, 0, 1, 0), ORDERS[1], torch.bfloat16, True),
        ((1, 1, 1, 12), (0, 0, 0, 0), ORDERS[0], torch.float32, False),
    ],
)
def test_values_gradients_and_orders_are_the_formulas(fused, shape, padding, order, dtype, cut):
    n, channels, height, width = shape
    x = 3 * torch.randn(n, channels, height + cut, width + 2 * cut)
    x.view(-1)[: len(EDGES)] = torch.tensor(EDGES)
    x = x.to(dtype).to(memory_format=order)[:, :, cut:, cut : cut + width].detach().requires_grad_()
    y, expected = fused(x, 0.0, Padding(*padding)), concat_elu(x, 0.0, Padding(*padding))
    torch.testing.assert_close(y, expected, rtol=ROUNDING[dtype], atol=0)
    gradient = torch.randn_like(y)
    (of_y,), (of_expected,) = (torch.autograd.grad(value, x, gradient) for value in (y, expected))
    torch.testing.assert_close(of_y, of_expected, rtol=0, atol=8 * ROUNDING[dtype])
    assert y.dtype == of_y.dtype == dtype
    assert (y.stride(), of_y.stride()) == (expected.stride(), of_expected.stride())


@by_interpreter
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("dtype", ROUNDING)
def test_what_dropout_drops_has_no_gradient_and_the_rest_is_scaled_up(fused, order, dtype):
    x = torch.randn(2, 5, 4, 6).to(dtype).to(memory_format=order)
    x[:, 0] = 0.0
    x.requires_grad_()
    padding = Padding(1, 1, 1, 0)
    y, without = fused(x, 0.3, padding), fused(x, 0.0, padding).float()
    dropped = (y == 0) & y.signbit()
    inside = dropped[:, :, 1:, 1:-1]
    assert inside.float().mean().item() == pytest.approx(0.3, abs=5 * (0.21 / inside.numel()) ** 0.5)
    assert not (inside[:, :5] == inside[:, 5:]).all() and not (inside[0] == inside[1]).all()
    torch.testing.assert_close(y.float(), torch.where(dropped, 0.0, without / 0.7), rtol=2 * ROUNDING[dtype], atol=0)
    gradient = torch.randn_like(y)
    (of_y,) = torch.autograd.grad(y, x, gradient)
    kept = torch.where(dropped, 0, gradient / 0.7)
    (expected,) = torch.autograd.grad(concat_elu(x, 0.0, padding), x, kept)
    torch.testing.assert_close(of_y, expected, rtol=0, atol=16 * ROUNDING[dtype])


@by_interpreter
def test_a_seed_drops_the_same_again(fused):
    x, drawn = torch.randn(1, 3, 4, 4), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(fused(x, 0.5, Padding(0, 0, 0, 0)))
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


@by_interpreter
def test_nothing_is_kept_beside_the_result(fused):
    kept = []
    x = torch.randn(1, 2, 3, 3, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda value: kept.append(value.data_ptr()) or value, lambda v: v):
        y = fused(x, 0.5, Padding(1, 1, 1, 0))
    assert kept == [y.data_ptr()]


@by_interpreter
@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("order", ORDERS)
def test_the_gate_and_its_gradient(order, dtype):
    from pixelcnn.network.fused import FusedGate

    x, ab = (torch.randn(2, channels, 4, 6).to(dtype).to(memory_format=order) for channels in (3, 6))
    x = x[:, :, 1:, :5].detach().requires_grad_()
    ab = ab[:, :, 1:, :5].contiguous(memory_format=order).detach().requires_grad_()
    y, expected = FusedGate.apply(x, ab), gated(x, ab)
    gradient = torch.randn_like(y)
    found, wanted = (torch.autograd.grad(value, (x, ab), gradient) for value in (y, expected))
    for one, other in zip((y, *found), (expected, *wanted), strict=True):
        torch.testing.assert_close(one, other, rtol=8 * ROUNDING[dtype], atol=4 * ROUNDING[dtype])
        assert one.stride() == other.stride()


@compiling
@pytest.mark.parametrize("name", ["_forward", "_backward"])
def test_a_gpus_code_tells_minus_zero_from_zero(name):
    """As the interpreter does, but Triton's compiler makes 0 of a constant -0.0."""
    from pixelcnn.network import fused

    types = {"seed": "*i64", "dropout": "fp32", "scale": "fp32"} | dict.fromkeys(
        ("x", "y", "gradient", "of_x"), "*bf16"
    )
    code = code_for_a_gpu(getattr(fused, name), types, {"channels_last": True, "drops": True, "block": 1024})
    assert ("-32768" if name == "_forward" else "-2147483648") in code


@compiling
@pytest.mark.parametrize("name", ["_gate", "_of_gate"])
def test_the_gate_compiles_for_a_gpu(name):
    from pixelcnn.network import fused

    types = dict.fromkeys(("x", "y", "gradient", "ab", "of_ab"), "*bf16")
    assert code_for_a_gpu(getattr(fused, name), types, {"channels_last": True, "block": 1024})


@pytest.mark.skipif(INTERPRETED, reason="needs no kernel")
def test_gpus_take_the_kernels_for_at_most_32_bits(monkeypatch):
    from pixelcnn.network import fused

    taken = []
    for holder, names in {fused: ("FusedConcatElu", "FusedGate"), nonlinearities: ("_ConcatElu", "_Gated")}.items():
        for name in names:
            monkeypatch.setattr(getattr(holder, name), "apply", lambda x, *_, name=name: taken.append((name, x.dtype)))
    with FakeTensorMode():
        for device in ("cuda", "cpu"):
            for dtype in (torch.bfloat16, torch.float64):
                x, ab = (torch.empty(2, channels, 4, 4, dtype=dtype, device=device) for channels in (3, 6))
                concat_elu(x)
                gated(x, ab)
    expected = ["FusedConcatElu", "FusedGate", *["_ConcatElu", "_Gated"] * 3]
    assert taken == list(
        zip(
            expected,
            [torch.bfloat16] * 2 + [torch.float64] * 2 + [torch.bfloat16] * 2 + [torch.float64] * 2,
            strict=True,
        )
    )
