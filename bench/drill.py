"""Kill a run at random moments, resume it each time with the same command, and compare its results.

    python -m bench.drill                # 20 kills of a small model on the digits
    python -m bench.drill --kills 50 --seed 1 data.batch_size=32     # further keys go to both runs

Weights, EMA weights, Adam's moments, validation scores and samples must equal those of an uninterrupted run, bit for
bit. Three kinds of kills take turns: SIGKILL while a checkpoint is being written, SIGKILL at any moment, and SIGTERM
(after which a run leaves a checkpoint) at any moment, startup included. Exits with status 1 if anything differs.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from pixelcnn.checkpoint import glance, read
from pixelcnn.durable import PARTIAL
from pixelcnn.training.checkpoints import newest

ROOT = Path(__file__).parents[1]
SMALL = (
    *("experiment=digits", "data.batch_size=64", "model.num_filters=8", "trainer.max_epochs=30"),
    *("trainer.check_val_every_n_epoch=5", "callbacks.samples.every_n_epochs=20", "callbacks.samples.num_samples=4"),
    *("callbacks.interruption.every_n_steps=10", "logger=wandb", "trainer.accelerator=cpu"),
)
EXACT = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers", "global_step")
KINDS = ("while writing", "SIGKILL", "SIGTERM")
SECONDS_TO_END = 120


class Process(Protocol):
    """A started run; ``returncode`` is None while it runs."""

    pid: int

    def poll(self) -> int | None:
        """Its status, if it has ended."""

    def wait(self, timeout: float) -> int:
        """Its status, when it has ended."""


Start = Callable[[Path], Process]


@dataclass(frozen=True)
class Kill:
    """One death of a run: its kind and exit status, the half-written files beside the checkpoints, and the step of the
    newest checkpoint (None without one)."""

    kind: str
    seconds: float
    status: int
    half_written: list[str]
    step: int | None


def uninterrupted(start: Start, run_dir: Path) -> tuple[float, float]:
    """Run to the end; returns the seconds of startup and of training."""
    began = time.monotonic()
    process = start(run_dir)
    _wait_for_start(process, run_dir, 0.0)
    starting = time.monotonic() - began
    status = process.wait(timeout=3600)
    assert status == 0, f"the uninterrupted run has failed with status {status}"
    return starting, time.monotonic() - began - starting


def killed(start: Start, run_dir: Path, kills: int, starting: float, training: float, seed: int) -> list[Kill]:
    """Start a run, kill it, start it again, ``kills`` times, then let it end. It may end before the last kill."""
    moments = random.Random(seed)
    deaths: list[Kill] = []
    for i in range(kills):
        kind = KINDS[i % len(KINDS)]
        began, before = time.monotonic(), _changed(run_dir / "run.json")
        process = start(run_dir)
        if kind == "while writing" or moments.random() < 0.8:
            _wait_for_start(process, run_dir, before)
            time.sleep(moments.uniform(0, 1.2 * training / kills))
        else:
            time.sleep(moments.uniform(0, starting))
        if kind == "while writing":
            _wait_for_writing(process, run_dir)
        if process.poll() is not None:
            break
        os.kill(process.pid, signal.SIGTERM if kind == "SIGTERM" else signal.SIGKILL)
        status = process.wait(timeout=SECONDS_TO_END)
        folder = run_dir / "checkpoints"
        half_written = sorted(path.name for path in folder.glob(f".*{PARTIAL}"))
        last = newest(folder)
        step = None if last is None else int(glance(last)["global_step"])
        deaths.append(Kill(kind, time.monotonic() - began, status, half_written, step))
        print(f"{i + 1:3}  {_row(deaths[-1])}", flush=True)
    status = start(run_dir).wait(timeout=3600)
    assert status == 0, f"the run that was killed ended with status {status}"
    return deaths


def differences(one: Path, other: Path) -> list[str]:
    """The checkpoints, scores and samples in which two finished runs differ, bit by bit."""
    found = []
    for name in ("last", "best"):
        a, b = (read(run / f"checkpoints/{name}.ckpt") for run in (one, other))
        found += [f"{name}.ckpt: {key}" for key in EXACT if not _equal(a[key], b[key])]
    a, b = (json.loads((run / "metrics.json").read_text()) for run in (one, other))
    found += [f"metrics.json: {key}" for key in a if key.startswith("val/") and a[key] != b[key]]
    pictures = {path.name for run in (one, other) for path in run.glob("samples/*.png")}
    for name in sorted(pictures):
        paths = [run / "samples" / name for run in (one, other)]
        if not all(path.exists() for path in paths) or paths[0].read_bytes() != paths[1].read_bytes():
            found.append(f"samples/{name}")
    return found


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    return bool(a == b)


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _wait_for_start(process: Process, run_dir: Path, before: float) -> None:
    while process.poll() is None and _changed(run_dir / "run.json") <= before:
        time.sleep(0.01)


def _wait_for_writing(process: Process, run_dir: Path) -> None:
    partial = [run_dir / "checkpoints" / f".{name}.ckpt{PARTIAL}" for name in ("last", "best")]
    while process.poll() is None and not any(path.exists() for path in partial):
        time.sleep(0.0001)


def _row(kill: Kill) -> str:
    left = ", ".join(kill.half_written) or "-"
    return f"{kill.kind:13}  {kill.seconds:5.1f} s  status {kill.status:4}  step {kill.step!s:>5}  {left}"


def _start_by_command(keys: Sequence[str]) -> Start:
    def start(run_dir: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "run.py", *keys, f"hydra.run.dir={run_dir}", "checkpoint=last"]
        environment = {**os.environ, "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1"}
        with (run_dir.parent / f"{run_dir.name}.log").open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    return start


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dir", type=Path, default=ROOT / "outputs/drill")
    parser.add_argument("keys", nargs="*")
    options = parser.parse_args()
    shutil.rmtree(options.dir, ignore_errors=True)
    options.dir.mkdir(parents=True)
    start = _start_by_command([*SMALL, *options.keys])
    whole, broken = (options.dir.resolve() / name for name in ("uninterrupted", "killed"))
    starting, training = uninterrupted(start, whole)
    print(f"uninterrupted: {starting:.1f} s to start, {training:.1f} s to train", flush=True)
    deaths = killed(start, broken, options.kills, starting, training, options.seed)
    found = differences(whole, broken)
    runs = {path.name.rpartition("-")[2] for path in (broken / "wandb").glob("offline-run-*")}
    half = sum(bool(kill.half_written) for kill in deaths)
    print(f"{len(deaths)} kills, {half} with a checkpoint half-written; runs in W&B: {len(runs)}")
    print("the same, bit for bit" if not found else "different: " + ", ".join(found))
    raise SystemExit(0 if not found and len(runs) == 1 and len(deaths) == options.kills else 1)


if __name__ == "__main__":
    main()
