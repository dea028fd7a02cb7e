"""A run directory holds one run: any other run is refused before it overwrites anything, unless it resumes it."""

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

# Files that tasks write. Hydra's own files do not count: a refused run leaves them too, and may be started again.
RESULTS = (
    *("checkpoints", "run.json", "metrics.json", "samples", "report.html", "per_image.csv"),
    *("samples.npz", "samples.png", "interpolation.png", "completions.npz", "completions.png"),
    *("maps.npz", "maps.png", "mean_map.png", "confusion.png", "calibration.png", "model.safetensors", "info.json"),
    *("scores.csv", "roc.png", "images.pxc", "images.npz"),
)

LOCK, SWEEP_LOCK = ".lock", ".sweep.lock"
COMPOSED = ("config.yaml", "hydra.yaml", "overrides.yaml")  # by Hydra, in .hydra
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # concurrent runs are then not detected
BEFORE_A_JOB = ("hydra.job.", "now:")  # interpolations in a sweep's subdir that resolve before a job begins
SECONDS_TO_LEAVE = 30  # for an earlier run that is saving after a signal


def require_free(run_dir: Path, config: DictConfig, key: str = "hydra.run.dir") -> None:
    """Raise UserError if ``run_dir`` holds a run that the run of ``config`` does not resume.

    Training may resume in the directory whose ``checkpoints`` folder holds the file ``checkpoint``, or with
    ``checkpoint=last`` in any training run's directory. ``key`` is the key that chose the directory.
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
    """`occupied` for the run of ``config``; UserError if ``run_dir`` holds another run, before or after waiting."""
    require_free(run_dir, config, key)
    with occupied(run_dir, key):
        require_free(run_dir, config, key)  # the process waited for may have left a run
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
    """Lock ``run_dir`` for this process; UserError if another one holds it for more than half a minute.

    A process that dies releases its lock. ``key`` is the key that chose the directory.
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
    """Whether ``file`` is still the one at ``path``: a refused run removes its lock file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # POSIX allows either
        return False
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
    return True


def require_free_sweep(config: DictConfig) -> None:
    """Raise UserError if a sweep's first job would get the directory of an earlier one.

    ``config`` is a whole composed configuration, with Hydra's node. If directories are named by more than the jobs'
    numbers, such as by an option that differs between jobs, each job checks its own.
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
    """The content of a run directory before Hydra wrote into it, in case the run is refused."""

    def __init__(self) -> None:
        self._absent: list[Path] = []
        self._kept: dict[Path, bytes] = {}

    def note(self, run_dir: Path, composed: Path) -> None:
        """Remember which files and folders do not exist; call it before ``run_dir`` is claimed."""
        hydras = [run_dir / LOCK, run_dir / "run.log", *(composed / name for name in COMPOSED)]
        self._absent = [path for path in (*hydras, composed, run_dir, *run_dir.parents) if not path.exists()]

    def keep(self, composed: Path) -> None:
        """Remember the files of ``composed``, which Hydra is about to overwrite."""
        self._kept = {file: file.read_bytes() for file in composed.glob("*.yaml")}

    def restore(self, run_dir: Path) -> None:
        """Restore the files. If the run wrote nothing of its own, also remove what did not exist before."""
        for file, content in self._kept.items():
            file.write_bytes(content)
        if not any((run_dir / name).exists() for name in RESULTS):
            for path in self._absent:
                with suppress(OSError):  # a folder that holds something else
                    path.unlink() if path.is_file() else path.rmdir()


# Of this process's one run or sweep.
EARLIER_FILES = EarlierFiles()
CLAIMS = ExitStack()  # acquired before Hydra writes, held until the end
