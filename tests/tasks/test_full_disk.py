"""A disk that is full for a while, or to the end: a real file system of a few MB."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback

from tests.tasks.conftest import TINY

pytestmark = pytest.mark.drawn


class Filled(Callback):
    """From step ``start`` to step ``end`` the file system of ``folder`` has no room left."""

    def __init__(self, folder: str, start: int, end: int) -> None:
        self.ballast, self.start, self.end = Path(folder) / "ballast", start, end

    def on_train_batch_end(self, trainer, *args):
        if self.start <= trainer.global_step < self.end:
            fill(self.ballast)
        elif trainer.global_step == self.end:
            self.ballast.unlink()


def fill(ballast: Path) -> None:
    """Have no byte left."""
    with ballast.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue


@pytest.fixture
def small_disk(tmp_path):
    """A folder with room for 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting is not allowed")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


FEW = ("trainer.max_epochs=4", "trainer.log_every_n_steps=1", "callbacks.samples.every_n_epochs=1")


def filled(folder: Path, start: int, end: int) -> str:
    callback = f"_target_: tests.tasks.test_full_disk.Filled, folder: {folder}, start: {start}, end: {end}"
    return f"trainer.callbacks=[{{{callback}}}]"


# TensorBoard writes in threads, which end with the error.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("logger", ["csv", "tensorboard", "wandb"])
def test_a_run_goes_on_and_has_all_files_in_the_end(arrays, call, small_disk, logger, monkeypatch, caplog):
    """Twenty steps, five an epoch; the second and third epoch have no room for anything."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = small_disk / "run"
    call(*arrays, *TINY, *FEW, f"logger={logger}", filled(small_disk, 7, 16), f"hydra.run.dir={run}")
    assert "samples/step=000010.png could not be written (No space left" in caplog.text
    said = [record.getMessage() for record in caplog.records if "could not be written" in record.getMessage()]
    assert all(line.startswith(f"{run}/") for line in said)
    drawn = {file.name for file in (run / "samples").iterdir()}
    assert drawn == {f"step={step:06d}.png" for step in (5, 20)}
    assert json.loads((run / "metrics.json").read_text())["step"] == 20 and (run / "report.html").exists()
    for name in ("best", "last"):
        torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)
    if logger == "csv":
        with (run / "csv" / "version_0" / "metrics.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {int(row["step"]) for row in rows if row["lr"]} == set(range(20))  # the rows have waited


def test_a_disk_that_stays_full_is_named(arrays, call, small_disk):
    run = small_disk / "run"
    with pytest.raises(SystemExit, match=rf"{run}/.*No space left"):
        call(*arrays, *TINY, *FEW, filled(small_disk, 7, 99), f"hydra.run.dir={run}")
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "told"),
    [(0, "/dev/shm could not be written"), (45_056, "/dev/shm is full")],
    ids=["workers cannot start", "batches do not fit"],
)
def test_shared_memory_that_is_full_is_named_and_ends_the_run(arrays, tmp_path, size, told):
    """In a mount namespace of its own, whose /dev/shm has room for so many bytes."""
    private = f"mount -t tmpfs -o size=64k tmpfs /dev/shm && head -c {65536 - size} /dev/zero > /dev/shm/ballast; "
    if subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /dev/shm"], capture_output=True).returncode:
        pytest.skip("mounting is not allowed")
    command = [sys.executable, "run.py", *arrays, *TINY, "data.num_workers=1", "data.batch_size=16", "data.val_size=1"]
    command += ["callbacks.samples=null", "callbacks.ranked_images=null", f"hydra.run.dir={tmp_path}/run"]
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", private + 'exec "$@"', "sh", *command],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert ended.returncode == 1
    assert re.search(f"^{told}.*checkpoint=last", ended.stderr, re.MULTILINE), ended.stderr
