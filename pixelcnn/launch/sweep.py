"""How a sweep runs one job: in its own process, or in separate ones."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from hydra.conf import HydraConf
from hydra.core.utils import env_override
from hydra.types import RunMode
from omegaconf import DictConfig

from pixelcnn.errors import UserError, require
from pixelcnn.launch.devices import processes
from pixelcnn.launch.ranks import started_outside
from pixelcnn.launch.slurm import require_tasks
from pixelcnn.scores import score_of_run

HANDED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
PR_SET_PDEATHSIG = 1  # of prctl(2)


def runs_apart(options: DictConfig, mode: RunMode | None) -> bool:
    """Whether a job is part of a sweep and needs several processes that have to be started for it.

    Lightning starts further processes by repeating the command line, which in a sweep is that of all jobs. Processes of
    ``hydra/launcher=submitit_slurm hydra.launcher.tasks_per_node=8`` have already been started by Slurm. Raises
    UserError if processes on another machine would be needed.
    """
    if mode != RunMode.MULTIRUN:
        return False
    if started_outside() > 1:
        require_tasks(options)
        return False
    if options.num_nodes > 1:
        raise UserError(
            f"trainer.num_nodes={options.num_nodes} in a sweep (-m) needs Slurm to start the machines: add "
            f"hydra/launcher=submitit_slurm hydra.launcher.nodes={options.num_nodes} "
            f"hydra.launcher.tasks_per_node={processes(options)}."
        )
    if processes(options) > 1:
        return True
    require_tasks(options)
    return False


def require_runnable(config: DictConfig) -> None:
    """Raise UserError if a sweep's launcher or sweeper cannot start; ``config`` has Hydra's node."""
    if config.hydra.runtime.choices["hydra/launcher"] == "submitit_slurm":
        if shutil.which("srun") is None:
            raise UserError(
                "hydra/launcher=submitit_slurm needs Slurm, whose srun is not on this machine: start the sweep on a "
                "cluster, or use submitit_local or joblib."
            )
        warn_without_sacct()
    trials = config.hydra.sweeper.get("n_trials")
    require(trials is None or trials >= 1, "hydra.sweeper.n_trials", trials, "ask for at least one")


def warn_without_sacct() -> None:
    """Warn if sacct does not work: only from sacct does submitit learn that a job was killed."""
    if shutil.which("sacct") is None:
        why = "there is no sacct"
    else:
        told = subprocess.run(["sacct", "--noheader", "--jobs=1"], capture_output=True, text=True, check=False)
        if told.returncode == 0:
            return
        why = f"it has no answer ({' '.join(told.stderr.split())})"
    print(
        f"hydra/launcher=submitit_slurm asks sacct about its jobs, but {why}: the sweep will wait forever for "
        "a job that is cancelled or killed.",
        flush=True,
    )


@contextmanager
def one_group(context: HydraConf) -> Iterator[None]:
    """Within it, W&B groups a sweep's runs by the name of its directory, unless WANDB_RUN_GROUP is set."""
    groups = context.mode == RunMode.MULTIRUN and "WANDB_RUN_GROUP" not in os.environ
    with env_override({"WANDB_RUN_GROUP": Path(context.sweep.dir).name} if groups else {}):
        yield


def run_apart(context: HydraConf) -> float | None:
    """Run the job of ``context`` as a separate command in the job's directory; returns its objective.

    Raises UserError if it fails; the command itself has printed why.
    """
    run_dir = Path(context.runtime.output_dir)
    # The last of several values counts. The sweep has written .hydra.
    alone = [f'hydra.run.dir="{run_dir}"', "hydra.output_subdir=null", "hydra.mode=RUN"]
    added = [source.path for source in context.runtime.config_sources if source.provider == "command-line"]
    config_dir = [f"--config-dir={path}" for path in added]
    command = [sys.executable, "-m", "pixelcnn", *config_dir, *context.overrides.hydra, *context.overrides.task, *alone]
    # Under this name Lightning starts processes itself, although Slurm has started this one.
    environment = {**os.environ, "SLURM_JOB_NAME": "interactive", "PYTHONPATH": os.pathsep.join(sys.path)}
    # In its own process group, the terminal's Ctrl-C reaches it only through this process: once, not twice.
    process = subprocess.Popen(
        command, cwd=context.runtime.cwd, env=environment, preexec_fn=_end_with_the_parent, process_group=0
    )
    told: list[int] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        told.append(number)
        process.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in HANDED_ON}
    try:
        status = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    # As `pixelcnn.training.interruption` ends it, or before there was anything to save.
    left_on = status - 128 if status > 0 else -status
    if told or left_on in HANDED_ON:
        handler = before[signal.Signals(left_on)] if left_on in HANDED_ON[1:] else None
        if callable(handler):  # submitit's, which requeues the job
            handler(left_on, None)
        # After a signal the run has saved and printed how to resume, or was about to finish; the sweep ends too.
        raise SystemExit(128 + (told[0] if told else left_on))
    if status != 0:
        raise UserError(f"The run in {run_dir} failed (status {status}): see its error above.")
    metrics = run_dir / "metrics.json"
    found = score_of_run(json.loads(metrics.read_text())) if metrics.exists() else None
    return None if found is None else found[1]


def _end_with_the_parent() -> None:
    """Ask Linux to send this process SIGTERM when its parent dies."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
