"""A run's directory is not given to another run, unless that resumes it; a refused run changes no file in it."""

import errno
import fcntl
import multiprocessing
import time

import pytest
from omegaconf import OmegaConf

from pixelcnn.errors import UserError
from pixelcnn.launch import run_directory
from pixelcnn.launch.run_directory import RESULTS, EarlierFiles, claimed, claimed_sweep, occupied, require_free


def asked(task: str = "train", checkpoint: str | None = None):
    return OmegaConf.create({"task": {"name": task}, "checkpoint": checkpoint})


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    return tmp_path


@pytest.mark.parametrize("left", RESULTS)
def test_what_any_task_leaves_makes_a_run(tmp_path, left):
    (tmp_path / left).touch()
    with pytest.raises(UserError, match=rf"^hydra.run.dir={tmp_path} .*{left}"):
        require_free(tmp_path, asked())


def test_a_refused_run_and_what_a_person_put_there_do_not(tmp_path):
    for name in (".hydra", "run.log", "output.txt"):
        (tmp_path / name).touch()
    require_free(tmp_path, asked())
    require_free(tmp_path / "absent", asked())


def test_training_goes_on_with_the_run_whose_checkpoint_is_there(run_dir, monkeypatch):
    last = f"{run_dir}/checkpoints/last.ckpt"
    with pytest.raises(UserError, match=f"checkpoint={last}"):
        require_free(run_dir, asked())
    with pytest.raises(UserError, match="already holds a run"):
        require_free(run_dir, asked(checkpoint=f"{run_dir}-other/checkpoints/last.ckpt"))
    with pytest.raises(UserError, match=r"choose another directory\.$"):
        require_free(run_dir, asked("evaluate", last))
    require_free(run_dir, asked(checkpoint=last))
    require_free(run_dir, asked(checkpoint="last"))
    monkeypatch.chdir(run_dir)
    require_free(run_dir, asked(checkpoint="checkpoints/last.ckpt"))


@pytest.mark.parametrize("inner", ["nest/ft/checkpoints", "nest/checkpoints/ft/checkpoints", "nest/checkpoints/old"])
def test_a_run_within_a_run_is_another_one(tmp_path, inner):
    for folder in (tmp_path / "nest/checkpoints", tmp_path / inner):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "last.ckpt").touch()
    with pytest.raises(UserError, match=f"hydra.run.dir={tmp_path}/nest "):
        require_free(tmp_path / "nest", asked(checkpoint=f"{tmp_path}/{inner}/last.ckpt"))


def test_links_lead_to_the_directory_that_would_be_written_to(tmp_path, run_dir):
    (tmp_path / "link").symlink_to(run_dir)
    require_free(tmp_path / "link", asked(checkpoint=f"{run_dir}/checkpoints/last.ckpt"))
    (tmp_path / "other/checkpoints").mkdir(parents=True)
    foreign = tmp_path / "other/checkpoints/last.ckpt"
    foreign.symlink_to(run_dir / "checkpoints/last.ckpt")
    require_free(run_dir, asked(checkpoint=str(foreign)))
    with pytest.raises(UserError, match="other "):
        require_free(tmp_path / "other", asked(checkpoint=str(foreign)))


def test_last_is_of_a_training_run(tmp_path):
    (tmp_path / "metrics.json").touch()  # of an evaluation
    with pytest.raises(UserError, match=r"metrics.json"):
        require_free(tmp_path, asked(checkpoint="last"))
    (tmp_path / "run.json").touch()  # killed before its first checkpoint
    require_free(tmp_path, asked(checkpoint="last"))


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(run_directory, "SECONDS_TO_LEAVE", 0)


@pytest.fixture
def stays_in(tmp_path):
    """Has another process in the directory for so many seconds."""
    fork, processes = multiprocessing.get_context("fork"), []

    def stay(seconds, is_in, leaves, lock):
        with occupied(tmp_path, lock_name=lock):
            is_in.set()
            time.sleep(seconds)
            if leaves:
                (tmp_path / leaves).mkdir(parents=True)

    def start(seconds, leaves=None, lock=run_directory.LOCK):
        is_in = fork.Event()
        processes.append(fork.Process(target=stay, args=(seconds, is_in, leaves, lock)))
        processes[-1].start()
        assert is_in.wait(10)
        return processes[-1]

    yield start
    for process in processes:
        process.kill()


def test_one_process_at_a_time_is_in_a_directory(tmp_path, at_once, stays_in):
    other = stays_in(100)
    told = f"hydra.run.dir={tmp_path} is the directory of a run that is still running"
    with pytest.raises(UserError, match=told), occupied(tmp_path):
        pass
    other.kill()  # leaves nothing that would keep another one out
    other.join()
    for _ in range(2):
        with occupied(tmp_path):
            pass


def test_a_run_that_leaves_is_waited_for(tmp_path, stays_in):
    other = stays_in(0.5)
    with occupied(tmp_path):
        other.join()
        assert other.exitcode == 0


def test_what_a_run_that_was_waited_for_has_left_is_kept(tmp_path, stays_in):
    stays_in(0.5, leaves="checkpoints")
    with pytest.raises(UserError, match=r"hydra.run.dir=.*checkpoints"), claimed(tmp_path, asked()):
        pass
    with claimed(tmp_path, asked(checkpoint="last")):
        pass


def test_sweeps_are_kept_apart_too(tmp_path, stays_in):
    sweep = OmegaConf.create({"sweep": {"dir": str(tmp_path), "subdir": "${hydra.job.num}"}, "job": {}})
    config = OmegaConf.merge(asked(), {"hydra": sweep})
    stays_in(0.5, leaves="0/checkpoints", lock=run_directory.SWEEP_LOCK)
    told = f"hydra.sweep.dir={tmp_path}/0 already holds a run"
    with pytest.raises(UserError, match=told), claimed_sweep(config):
        pass


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with occupied(tmp_path):
        pass


@pytest.fixture
def noted(tmp_path):
    """A run that Hydra has begun in ``a/run`` of a folder, beside a file of the user's."""
    run_dir, earlier = tmp_path / "a/run", EarlierFiles()
    (tmp_path / "notes.txt").touch()
    earlier.note(run_dir, run_dir / ".hydra")
    with claimed(run_dir, asked()):
        earlier.keep(run_dir / ".hydra")
        (run_dir / ".hydra").mkdir()
        for name in ("run.log", ".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml"):
            (run_dir / name).touch()
        yield run_dir, earlier


def test_a_refused_run_leaves_nothing_that_it_made(tmp_path, noted):
    run_dir, earlier = noted
    earlier.restore(run_dir)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("left", ["run.json", "checkpoints"])
def test_a_run_that_has_begun_keeps_its_files(noted, left):
    run_dir, earlier = noted
    (run_dir / left).mkdir()
    earlier.restore(run_dir)
    assert {path.name for path in run_dir.iterdir()} == {".lock", ".hydra", "run.log", left}


def test_what_others_have_put_there_stays(noted):
    run_dir, earlier = noted
    (run_dir / ".hydra/mine.txt").touch()
    earlier.restore(run_dir)
    assert [path.name for path in run_dir.rglob("*")] == [".hydra", "mine.txt"]


def test_a_lock_that_was_removed_meanwhile_locks_nothing(tmp_path, monkeypatch):
    lock, try_to_lock = tmp_path / run_directory.LOCK, run_directory._locked

    def removed_by_a_refused_run(file):
        lock.unlink()
        monkeypatch.setattr(run_directory, "_locked", try_to_lock)
        return try_to_lock(file)

    monkeypatch.setattr(run_directory, "_locked", removed_by_a_refused_run)
    with occupied(tmp_path):
        assert lock.exists()
