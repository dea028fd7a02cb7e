"""A file is there whole, or as it was."""

import errno
import os
import resource
import stat
from pathlib import Path

import pytest

from pixelcnn import durable
from pixelcnn.durable import remove_partial, replacing, sentence_when_full, trouble_when_full, warning_when_full
from pixelcnn.errors import UserError


def test_it_is_there_when_the_context_is_left(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new" and list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_one(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), replacing(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_the_disk_refuses_late_leaves_the_old_one(tmp_path, monkeypatch, call):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"), replacing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_the_disk_is_given_the_content_and_then_the_name(tmp_path, monkeypatch):
    path, flushed = tmp_path / "file", []
    monkeypatch.setattr(os, "fsync", lambda file: flushed.append((stat.S_ISDIR(os.fstat(file).st_mode), path.exists())))
    with replacing(path) as file:
        file.write(b"new")
    assert flushed == [(False, False), (True, True)]


def test_what_a_killed_process_leaves_is_removed(tmp_path):
    path = tmp_path / "file"
    child = os.fork()
    if child == 0:
        with replacing(path) as file:
            file.write(b"half")
            os._exit(0)
    os.waitpid(child, 0)
    assert [left.name for left in tmp_path.iterdir()] == [".file.partial"]
    remove_partial(tmp_path)
    remove_partial(tmp_path / "missing")
    assert not list(tmp_path.iterdir())


def test_a_file_too_large_for_the_disk_is_said_in_a_sentence(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(UserError, match=r"File too large"), sentence_when_full(tmp_path):
            (tmp_path / "log").write_bytes(bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(PermissionError), sentence_when_full(tmp_path):
        raise PermissionError(errno.EACCES, "theirs")


@pytest.mark.parametrize("named", [True, False])
def test_the_file_system_that_is_full_is_named(tmp_path, monkeypatch, named):
    """Copies are named by their source, semaphores not at all."""
    source, target = tmp_path / "tmp" / "source", tmp_path / "run" / "target"
    files = (str(source), None, str(target)) if named else ()
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *files)
    assert trouble_when_full(error, tmp_path / "run").startswith(f"{target if named else tmp_path / 'run'} could not")
    full = Path("/dev/shm") if not named else tmp_path / "tmp"
    monkeypatch.setattr(durable, "_has_no_room", lambda path: full in (path, *path.parents))
    assert trouble_when_full(error, tmp_path / "run").startswith(f"{'/dev/shm' if not named else source} could not be")


def test_what_a_worker_cannot_send_is_said_in_a_sentence(tmp_path):
    told = "unable to allocate shared memory(shm) for file </torch_1_2_0>: No space left on device (28)"
    with pytest.raises(UserError, match="/dev/shm "), sentence_when_full(tmp_path):
        raise RuntimeError(f"Caught RuntimeError in DataLoader worker process 0. ... RuntimeError: {told}")
    with pytest.raises(RuntimeError, match="mat1 and mat2"), sentence_when_full(tmp_path):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_what_a_run_can_do_without_is_a_warning(tmp_path, caplog):
    with warning_when_full(tmp_path), replacing(tmp_path / "grid.png"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert f"{tmp_path}/grid.png could not be written (No space left on device). The run continues" in caplog.text
    with pytest.raises(PermissionError), warning_when_full(tmp_path):
        raise PermissionError(errno.EACCES, "theirs")
