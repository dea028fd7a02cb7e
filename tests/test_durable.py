"""A file is there whole, or as it was."""

import errno
import os
import resource
import stat

import pytest

from pixelcnn.durable import remove_partial, replacing, sentence_when_full
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
        with pytest.raises(UserError, match=r"could not be written \(File too large\)"), sentence_when_full(tmp_path):
            (tmp_path / "log").write_bytes(bytes(2000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    with pytest.raises(PermissionError), sentence_when_full(tmp_path):
        raise PermissionError(errno.EACCES, "theirs")
