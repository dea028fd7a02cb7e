"""Tests of Triton's kernels on a CPU, by Triton's interpreter, which a process chooses before it imports Triton."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
by_interpreter = pytest.mark.skipif(not INTERPRETED, reason="run by assert_passes_by_interpreter")
compiling = pytest.mark.skipif(INTERPRETED or find_spec("triton") is None, reason="compiles")


def assert_passes_by_interpreter(file: str) -> None:
    """Run the tests of a file that are `by_interpreter`, in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", file]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    outcome = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0 and " passed" in outcome.stdout, outcome.stdout


def code_for_a_gpu(kernel, types, constants) -> str:
    """The PTX of ``kernel`` for an H100, whose arguments have ``types``, others int32. None has to be there."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource, compile

    types = types | dict.fromkeys(constants, "constexpr")
    source = ASTSource(
        kernel,
        {argument: types.get(argument, "i32") for argument in kernel.arg_names},
        constexprs={(kernel.arg_names.index(argument),): value for argument, value in constants.items()},
    )
    return compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"]
