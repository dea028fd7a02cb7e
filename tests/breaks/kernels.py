"""Breaks of the Triton kernels."""

from tests.breaks.one import Break, of_file

KERNELS: list[Break] = [
    *of_file(
        "network/fused.py",
        "network/test_fused.py",
        ("a GPU does not scale up what dropout keeps", "_minus_zero(v), upright * scale)", "_minus_zero(v), upright)"),
        ("on a GPU what is dropped has a gradient", "tl.where(dropped, 0.0, by_argument)", "by_argument"),
        ("a GPU drops both signs of a value", "tl.where(b < dropout", "tl.where(a < dropout"),
        ("a GPU's padding is on the other side", "row, column = i - above, j - left", "row, column = i, j - left"),
    ),
    *of_file(
        "sampling/fused.py",
        "sampling/test_fused.py",
        ("a GPU's samples have a gate of the other sign", "a / (1 + tl.exp(-b))", "a / (1 + tl.exp(b))"),
    ),
    *of_file(
        "likelihood/fused.py",
        "sampling/test_fused.py",
        ("a GPU draws blue without green", "+ b * r + c * g", "+ b * r"),
    ),
]
