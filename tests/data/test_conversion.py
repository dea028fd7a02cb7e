"""Conversion by real processes, some of which are killed."""

import logging
import multiprocessing
import os
import pickle
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock, Timeout

from pixelcnn.data.conversion import open_converted
from pixelcnn.errors import UserError

SHAPE = (3, 2, 2)


@dataclass(frozen=True)
class Numbered:
    """``count`` images, all of whose pixels are ``value``; every reading leaves a file in ``traces``."""

    traces: Path
    value: int
    count: int = 2

    def __len__(self):
        return self.count

    def read(self):
        (self.traces / f"{self.value}_{time.monotonic_ns()}").touch()
        self.act()
        return np.full((self.count, *SHAPE), self.value, np.uint8), np.full(self.count, self.value, np.int64)

    def act(self):
        """What subclasses do while they read; it is no part of the source's identity."""

    def __repr__(self):
        return f"{self.value} {self.count}"


class Unlabelled(Numbered):
    def read(self):
        return super().read()[0], None


class Damaged(Numbered):
    def act(self):
        raise UserError(f"image {self.value} is damaged.")


class Killed(Numbered):
    def act(self):
        os.kill(os.getpid(), signal.SIGKILL)


class FullDisk(Numbered):
    def act(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))


class Waiting(Numbered):
    """Holds a lock for as long as its process lives."""

    def act(self):
        with FileLock(self.traces.parent / f"{self.value}.lock"):
            (self.traces.parent / f"{self.value}.held").touch()
            time.sleep(60)


@pytest.fixture
def traces(tmp_path):
    (tmp_path / "traces").mkdir()
    return tmp_path / "traces"


def read_values(traces):
    return sorted(int(file.name.partition("_")[0]) for file in traces.iterdir())


def convert(tmp_path, parts, labelled=True):
    return open_converted(tmp_path / "arrays" / "train", lambda: parts, SHAPE, labelled)


def check(arrays, parts):
    expected = np.repeat([part.value for part in parts], [len(part) for part in parts])
    np.testing.assert_array_equal(
        arrays.images, np.broadcast_to(expected[:, None, None, None], (len(expected), *SHAPE))
    )
    np.testing.assert_array_equal(arrays.labels, expected)


@pytest.mark.parametrize("counts", [[1], [3, 1, 2], [5] * 9])
def test_parts_stand_one_after_the_other(tmp_path, traces, counts):
    parts = [Numbered(traces, 7 + k, count) for k, count in enumerate(counts)]
    check(convert(tmp_path, parts), parts)
    assert sorted(file.name for file in (tmp_path / "arrays" / "train").iterdir()) == ["images.npy", "labels.npy"]


def test_converted_once(tmp_path, traces):
    parts = [Numbered(traces, value) for value in range(3)]
    convert(tmp_path, parts)
    check(open_converted(tmp_path / "arrays" / "train", lambda: pytest.fail("read again"), SHAPE, True), parts)
    assert read_values(traces) == [0, 1, 2]


def test_images_without_labels(tmp_path, traces):
    arrays = convert(tmp_path, [Unlabelled(traces, 4)], labelled=False)
    assert arrays.labels is None and arrays.images.tolist() == np.full((2, *SHAPE), 4).tolist()


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Damaged, r"^image 3 is damaged\.$"),
        (Killed, "was killed, possibly out of memory: run the same command again"),
        (FullDisk, r"train stopped the conversion \(File too large\)"),
    ],
)
def test_what_stops_a_conversion_is_told_and_the_next_goes_on(tmp_path, traces, kind, message, caplog):
    good = [Numbered(traces, value) for value in range(6)]
    with pytest.raises(UserError, match=message) as caught:
        convert(tmp_path, [*good[:3], kind(traces, 3), *good[4:]])
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    assert not (tmp_path / "arrays" / "train").exists()
    [marks] = (tmp_path / "arrays").glob("train.*.partial/done.npy")
    done = np.flatnonzero(np.load(marks)).tolist()
    assert 3 not in done
    for trace in traces.iterdir():
        trace.unlink()
    with caplog.at_level(logging.INFO):
        check(convert(tmp_path, good), good)
    assert read_values(traces) == sorted(set(range(6)) - set(done))
    assert ("of which" in caplog.text) == bool(done)


def kill_once_done(tmp_path, parts, done):
    """Convert in a process of its own and kill it once ``done`` is marked and another part is being read."""
    for mark in tmp_path.glob("*.held"):
        mark.unlink()
    process = multiprocessing.Process(target=convert, args=(tmp_path, parts))
    process.start()
    marks, held = [], []
    while not held or not marks or np.load(marks[0]).tolist() != done:
        marks = list((tmp_path / "arrays").glob("train.*.partial/done.npy"))
        held = list(tmp_path.glob("*.held"))
        assert process.is_alive()
    with pytest.raises(Timeout):
        FileLock(held[0].with_suffix(".lock")).acquire(timeout=0)
    process.kill()
    process.join()


def test_killed_conversions_take_their_processes_along_and_go_on(tmp_path, traces):
    good = [Numbered(traces, value) for value in range(5)]
    kill_once_done(tmp_path, [*good[:3], Waiting(traces, 3), Waiting(traces, 4)], [1, 1, 1, 0, 0])
    kill_once_done(tmp_path, [*good[:4], Waiting(traces, 4)], [1, 1, 1, 1, 0])
    assert not (tmp_path / "arrays" / "train").exists()
    for lock in tmp_path.glob("*.lock"):
        FileLock(lock).acquire(timeout=30)
    for trace in traces.iterdir():
        trace.unlink()
    check(convert(tmp_path, good), good)
    assert read_values(traces) == [4]


def test_arrays_begun_from_other_files_are_not_gone_on_with(tmp_path, traces):
    with pytest.raises(UserError):
        convert(tmp_path, [Numbered(traces, 0), Numbered(traces, 1), Damaged(traces, 2)])
    others = [Numbered(traces, 1), Numbered(traces, 0), Numbered(traces, 2)]
    check(convert(tmp_path, others), others)
    assert [file.name for file in (tmp_path / "arrays").iterdir() if not file.name.startswith(".")] == ["train"]


def test_arrays_not_yet_of_full_length_are_made_anew(tmp_path, traces):
    with pytest.raises(UserError):
        convert(tmp_path, [Damaged(traces, 0)])
    [partial] = (tmp_path / "arrays").glob("train.*.partial")
    (partial / "done.npy").unlink()
    (partial / "images.npy").write_bytes(b"\x93NUMPY")
    check(convert(tmp_path, [Numbered(traces, 0)]), [Numbered(traces, 0)])


def test_of_processes_that_ask_at_once_one_converts(tmp_path, traces):
    parts = [Numbered(traces, value) for value in range(4)]
    processes = [multiprocessing.Process(target=convert, args=(tmp_path, parts)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert read_values(traces) == [0, 1, 2, 3]
    check(convert(tmp_path, parts), parts)


def test_every_process_maps_the_same_file(tmp_path, traces):
    arrays = convert(tmp_path, [Numbered(traces, 1, count=1000)])
    again = pickle.loads(pickle.dumps(arrays))
    assert again.images.filename == arrays.images.filename and len(pickle.dumps(arrays)) < 2000


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "images.npy").write_bytes((folder / "images.npy").read_bytes()[:-1]),
        lambda folder: (folder / "images.npy").write_bytes(b""),
        lambda folder: (folder / "labels.npy").unlink(),
        lambda folder: np.save(folder / "images.npy", np.zeros((2, 3, 4, 4), np.uint8)),
    ],
)
def test_spoilt_arrays_are_refused(tmp_path, traces, spoil):
    convert(tmp_path, [Numbered(traces, 1)])
    spoil(tmp_path / "arrays" / "train")
    with pytest.raises(UserError, match=rf"^{tmp_path}/arrays/train .*remove"):
        convert(tmp_path, [Numbered(traces, 1)])


def test_a_place_that_cannot_be_written_is_named(tmp_path, traces):
    (tmp_path / "arrays").write_text("a file")
    with pytest.raises(UserError, match=rf"^{tmp_path}/arrays .*data\.converted=DIR"):
        convert(tmp_path, [Numbered(traces, 1)])
