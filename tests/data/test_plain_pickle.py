import io
import os
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pixelcnn.data.plain_pickle import PlainUnpickler

kinds = st.sampled_from(["u1", "<i8", ">i4", "<f4", "f8", "b1"])


def read(content):
    return PlainUnpickler(io.BytesIO(content), encoding="latin1").load()


@given(kinds.flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_side=1))), st.integers(0, 5), st.booleans())
def test_arrays_come_back_as_pickle_itself_gives_them(array, protocol, transposed):
    array = array.T if transposed else array
    stored = read(pickle.dumps({"data": array, "labels": [1, 1000, array.ravel()[0]]}, protocol))
    again = np.asarray(stored["data"])
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(again, array)
    np.testing.assert_array_equal(stored["labels"], [1, 1000, array.ravel()[0]])


def test_what_python_2_wrote_is_read():
    content = (
        b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02K\x02\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x04\x00\x01\xfe\xfftbU\x06labels]K\x07au."
    )
    assert pickle.loads(content, encoding="latin1")["data"].tolist() == [[0, 1], [254, 255]]
    stored = read(content)
    assert np.asarray(stored["data"]).tolist() == [[0, 1], [254, 255]] and stored["labels"] == [7]


class Calls:
    """Pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [(os.mkdir, ("{}",), "posix.mkdir"), (eval, ("__import__('os').mkdir('{}')",), "eval"), (np.load, ("{}",), "load")],
)
def test_nothing_in_the_file_is_run(tmp_path, function, arguments, name, protocol):
    trace = tmp_path / "trace"
    content = pickle.dumps({"data": Calls(function, *(text.format(trace) for text in arguments))}, protocol)
    with pytest.raises(pickle.UnpicklingError, match=rf"it names .*{name}"):
        read(content)
    assert not trace.exists()


def test_arrays_of_objects_are_refused():
    with pytest.raises(ValueError, match="values of type O8"):
        read(pickle.dumps(np.array([1, None])))


def test_every_cut_is_noticed():
    content = pickle.dumps({"data": np.arange(6, dtype=np.uint8).reshape(2, 3), "labels": [1, 2]}, 3)
    for length in range(len(content)):
        with pytest.raises((pickle.UnpicklingError, EOFError)):
            read(content[:length])
