import hashlib
import pickle

import numpy as np
import pytest
from torchvision import datasets

from pixelcnn.data.cifar10 import CIFAR10
from pixelcnn.errors import UserError


def cifar10(root, **sizes):
    return CIFAR10(root=str(root), **{"batch_size": 2, "val_size": 0, "num_workers": 0, "seed": 0, **sizes})


@pytest.fixture
def written(tmp_path):
    """Six training and three test images in the files of the Python version; the data set that expects just these."""
    generator = np.random.default_rng(0)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    checksums, images, labels = {}, [], []
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        images.append(generator.integers(0, 256, (3, 3, 32, 32), dtype=np.uint8))
        labels.append([int(label) for label in generator.integers(0, 10, 3)])
        content = pickle.dumps({"data": images[-1].reshape(3, -1), "labels": labels[-1]})
        (folder / name).write_bytes(content)
        checksums[name] = hashlib.md5(content).hexdigest()
    content = pickle.dumps({"label_names": list("abcdefghij")})
    (folder / "batches.meta").write_bytes(content)

    class TinyFiles(datasets.CIFAR10):
        train_list = tuple((name, checksums[name]) for name in ("data_batch_1", "data_batch_2"))
        test_list = (("test_batch", checksums["test_batch"]),)
        meta = {**datasets.CIFAR10.meta, "md5": hashlib.md5(content).hexdigest()}  # noqa: RUF012

    class Tiny(CIFAR10):
        source = TinyFiles

    return Tiny, tmp_path, np.array(images), np.array(labels)


def test_files_that_are_there_are_read_without_a_network(written, no_network):
    tiny, root, images, labels = written
    data = tiny(root=str(root), batch_size=2, val_size=0, num_workers=0, seed=0)
    data.prepare_data()
    data.setup("fit")
    np.testing.assert_array_equal(data.arrays("train").images, images[:2].reshape(6, 3, 32, 32))
    np.testing.assert_array_equal(data.arrays("train").labels, labels[:2].ravel())
    np.testing.assert_array_equal(data.arrays("test").images, images[2])
    np.testing.assert_array_equal(data.arrays("test").labels, labels[2])
    assert data.shape.levels == 256 and data.class_names == tuple("abcdefghij")


def test_no_network_and_no_files(tmp_path, no_network):
    root = tmp_path / "somewhere"
    with pytest.raises(UserError) as caught:
        cifar10(root).prepare_data()
    message = str(caught.value)
    assert str(root / "cifar-10-batches-py") in message
    assert all(other in message for other in ("data=digits", "data=images", "data=arrays"))
    assert "\n" not in message and message.endswith(".")


def test_a_damaged_file_is_not_trained_on(written, no_network):
    tiny, root, _, _ = written
    (root / "cifar-10-batches-py" / "test_batch").write_bytes(b"damaged")
    data = tiny(root=str(root), batch_size=2, val_size=0, num_workers=0, seed=0)
    for action in (data.prepare_data, lambda: data.setup("fit")):
        with pytest.raises(UserError, match=r"^CIFAR-10 .*cifar-10-batches-py"):
            action()
