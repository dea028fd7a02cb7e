"""Reading the original's variables: from a TensorFlow checkpoint, or from an .npz that holds them by name."""

import os
import re
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from pixelcnn.errors import UserError

# Raised by numpy and zipfile for files that are damaged, encrypted or something else.
DAMAGED = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    RuntimeError,  # also NotImplementedError, of unknown compression
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    struct.error,
)
INSTALL = "pip install -r requirements-tensorflow.txt"


def read_variables(source: str | Path) -> dict[str, np.ndarray]:
    """Every array of ``source`` by name: an .npz file, or the prefix of a TensorFlow checkpoint (PREFIX.index, …).

    UserError if there is no such file, it is damaged or is something else.
    """
    source = Path(source)
    prefix = Path(re.sub(r"\.(index|meta|data-\d+-of-\d+)$", "", str(source)))
    if os.path.isfile(f"{prefix}.index"):
        return _from_tensorflow(prefix)
    if not os.path.isfile(source):
        raise UserError(
            f"task.source={source} is not a file: name an .npz file or the prefix of a TensorFlow checkpoint "
            "(such as params_cifar.ckpt for params_cifar.ckpt.index)."
        )
    return _from_npz(source)


def _from_npz(source: Path) -> dict[str, np.ndarray]:
    try:
        stored = np.load(source, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise ValueError("a single array")
        with stored:
            variables = {name: stored[name] for name in stored}
        if not all(isinstance(value, np.ndarray) for value in variables.values()):
            raise ValueError("a file in it is not an array")
        return variables
    except DAMAGED as error:
        raise UserError(
            f"task.source={source} is damaged or neither an .npz file nor a TensorFlow checkpoint: use another one."
        ) from error


def _from_tensorflow(prefix: Path) -> dict[str, np.ndarray]:
    try:
        import tensorflow as tf
    except ImportError as error:
        raise UserError(f"task.source={prefix} is a TensorFlow checkpoint, and reading it needs: {INSTALL}") from error
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"task.source={prefix} is a damaged TensorFlow checkpoint: {reason}") from error
