"""TensorFlow's own reader, where TensorFlow is installed."""

import numpy as np
import pytest

from pixelcnn.errors import UserError
from pixelcnn.original.sources import read_variables
from tests.original.conftest import original_model, source_of


@pytest.fixture
def checkpoint(tmp_path):
    """A TensorFlow checkpoint of a class-conditional model, and its variables."""
    tf = pytest.importorskip("tensorflow", reason="an optional extra: requirements-tensorflow.txt")
    variables = source_of(original_model(classes=2, num_filters=2))
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "params.ckpt"),
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=list(variables.values()),
    )
    return tmp_path / "params.ckpt", variables


@pytest.mark.parametrize("suffix", ["", ".index", ".data-00000-of-00001"])
def test_every_variable_is_read(checkpoint, suffix):
    prefix, variables = checkpoint
    read = read_variables(f"{prefix}{suffix}")
    assert read.keys() == variables.keys()
    for name, value in variables.items():
        np.testing.assert_array_equal(read[name], value)


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
def test_a_truncated_checkpoint_is_refused(checkpoint, part):
    prefix, _ = checkpoint
    file = prefix.with_name(f"{prefix.name}.{part}")
    whole = file.read_bytes()
    for share in (0, 0.3, 0.9):
        file.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(UserError, match=r"params.ckpt .*TensorFlow"):
            read_variables(prefix)
