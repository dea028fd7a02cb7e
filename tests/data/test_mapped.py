import pickle

import numpy as np
import pytest

from pixelcnn.data.mapped import mapped

stored = np.arange(2 * 3 * 40 * 40, dtype=np.uint8).reshape(2, 3, 40, 40)


@pytest.fixture
def array(tmp_path):
    np.save(tmp_path / "array.npy", stored)
    return mapped(tmp_path / "array.npy")


def test_the_array_is_the_files_and_cannot_be_written(array):
    np.testing.assert_array_equal(array, stored)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


@pytest.mark.parametrize("protocol", range(2, 6))
def test_processes_are_sent_the_name_and_not_the_content(array, protocol):
    content = pickle.dumps(array, protocol)
    assert len(content) < 1000
    again = pickle.loads(content)
    np.testing.assert_array_equal(again, stored)
    assert len(pickle.dumps(again)) < 1000


@pytest.mark.parametrize(
    "part", [lambda a: a[1:], lambda a: a.transpose(0, 2, 3, 1), lambda a: a[[1, 0]], lambda a: a + 1]
)
def test_what_is_made_of_it_is_sent_as_it_is(array, part):
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(part(array))), part(stored))


def test_a_file_cut_short_is_refused(tmp_path, array):
    content = (tmp_path / "array.npy").read_bytes()
    (tmp_path / "short.npy").write_bytes(content[:-1])
    with pytest.raises(ValueError):
        mapped(tmp_path / "short.npy")
