"""A run directory holds one run: another one is refused before it overwrites anything, unless it resumes it."""

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from omegaconf import DictConfig, OmegaConf, open_dict

from pixelcnn.errors import UserError

# Files that tasks write. Hydra's own do not make a run: a refused one leaves them too, and is started again.
RESULTS = (
    *("checkpoints", "run.json", "metrics.json", "samples", "report.html", "per_image.csv"),
    *("samples.npz", "samples.png", "interpolation.png", "completions.npz", "completions.png"),
    *("maps.npz", "maps.png", "mean_map.png", "confusion.png", "calibration.png", "model.safetensors", "info.json"),
    *("scores.csv", "roc.png"),
)

LOCK, SWEEP_LOCK = ".lock", ".sweep.lock"
COMPOSED = ("config.yaml", "hydra.yaml", "overrides.yaml")  # by Hydra, in .hydra
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # a file system that has none; runs are not kept apart
BEFORE_A_JOB = ("hydra.job.", "now:")  # interpolations of a sweep's subdir that resolve before a job has begun
SECONDS_TO_LEAVE = 30  # for an earlier run that got a signal, to save


def require_free(run_dir: Path, config: DictConfig, key: str = "hydra.run.dir") -> None:
    """Raise UserError where ``run_dir`` holds a run that the run of ``config`` does not resume.

    Training resumes in the directory into whose ``checkpoints`` the file given by ``checkpoint`` was written, or by
    ``checkpoint=last`` in any that a training run has left. ``key`` is what has chosen the directory.
    """
    held = next((name for name in RESULTS if (run_dir / name).exists()), None)
    training = config.task.name == "train"
    if held is None or (training and _resumes(run_dir, config.checkpoint)):
        return
    last = run_dir / "checkpoints" / "last.ckpt"
    remedy = f", or resume that run with checkpoint={last}" if training and last.is_file() else ""
    raise UserError(f"{key}={run_dir} already holds a run (its {held}): choose another directory{remedy}.")


def _resumes(run_dir: Path, checkpoint: str | None) -> bool:
    folder = run_dir / "checkpoints"
    if checkpoint == "last":
        return folder.exists() or (run_dir / "run.json").exists()  # which only training writes
    return checkpoint is not None and Path(checkpoint).resolve().parent == folder.resolve()


@contextmanager
def claimed(run_dir: Path, config: DictConfig, key: str = "hydra.run.dir") -> Iterator[None]:
    """`occupied` for the run of ``config``; UserError where ``run_dir`` holds another one, or does so by then."""
    require_free(run_dir, config, key)
    with occupied(run_dir, key):
        require_free(run_dir, config, key)  # the process that was waited for may have left a run
        yield


@contextmanager
def claimed_sweep(config: DictConfig) -> Iterator[None]:
    """The same for a sweep; ``config`` is a whole composed configuration, with Hydra's node."""
    require_free_sweep(config)
    sweep_dir = Path(config.hydra.sweep.dir)
    with occupied(sweep_dir, "hydra.sweep.dir", SWEEP_LOCK):
        require_free_sweep(config)
        yield


@contextmanager
def occupied(run_dir: Path, key: str = "hydra.run.dir", lock_name: str = LOCK) -> Iterator[None]:
    """Within it no other process gets in; UserError where one is there and does not leave within half a minute.

    A process that dies leaves with it. ``key`` is what has chosen the directory.
    """
    deadline = time.monotonic() + SECONDS_TO_LEAVE
    while True:
        run_dir.mkdir(parents=True, exist_ok=True)
        with (run_dir / lock_name).open("w") as lock:
            if _locked(lock) and _is_at(run_dir / lock_name, lock):
                yield
                return
        if time.monotonic() > deadline:
            raise UserError(
                f"{key}={run_dir} is the directory of a run that is still running: wait for it, stop it, or "
                "choose another directory."
            )
        time.sleep(0.2)


def _is_at(path: Path, file: IO[str]) -> bool:
    """Whether ``file`` is still the one at ``path``: a run that is refused removes its lock."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # POSIX leaves it open which
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
    return True


def require_free_sweep(config: DictConfig) -> None:
    """Raise UserError where a sweep's first job would get the directory of an earlier one.

    ``config`` is a whole composed configuration, with Hydra's node. Directories that are named by more than the jobs'
    numbers, such as by an option that differs between them, are left to the jobs.
    """
    subdir = OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"]  # type: ignore[index, call-overload]
    if not all(name.startswith(BEFORE_A_JOB) for name in re.findall(r"\$\{(.*?)\}", str(subdir))):
        return
    first = config.copy()
    OmegaConf.set_readonly(first, False)
    OmegaConf.set_readonly(first.hydra, False)
    with open_dict(first):
        first.hydra.job.num, first.hydra.job.id = 0, "0"
    require_free(Path(first.hydra.sweep.dir) / str(first.hydra.sweep.subdir), first, "hydra.sweep.dir")


class EarlierFiles:
    """What a run directory held before Hydra wrote into it, for a run that may yet be refused."""

    def __init__(self) -> None:
        self._absent: list[Path] = []
        self._kept: dict[Path, bytes] = {}

    def note(self, run_dir: Path, composed: Path) -> None:
        """Remember what is not there; to be called before ``run_dir`` is claimed."""
        hydras = [run_dir / LOCK, run_dir / "run.log", *(composed / name for name in COMPOSED)]
        self._absent = [path for path in (*hydras, composed, run_dir, *run_dir.parents) if not path.exists()]

    def keep(self, composed: Path) -> None:
        """Remember the files of ``composed``, which Hydra is about to overwrite."""
        self._kept = {file: file.read_bytes() for file in composed.glob("*.yaml")}

    def restore(self, run_dir: Path) -> None:
        """Put the files back. Where the run has left nothing of its own, also remove what was not there."""
        for file, content in self._kept.items():
            file.write_bytes(content)
        if not any((run_dir / name).exists() for name in RESULTS):
            for path in self._absent:
                with suppress(OSError):  # a folder that holds something else
                    path.unlink() if path.is_file() else path.rmdir()


# Of this process's one run or sweep.
EARLIER_FILES = EarlierFiles()
CLAIMS = ExitStack()  # acquired before Hydra writes, held until the end
