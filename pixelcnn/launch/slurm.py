"""Refuses Slurm tasks that do not match ``trainer.devices`` and ``trainer.num_nodes``.

Lightning assumes one task per device. Otherwise it silently trains on one device, waits for tasks
that were never started, or ends in a traceback.
"""

import os
from collections.abc import Mapping

from omegaconf import DictConfig

from pixelcnn.errors import UserError
from pixelcnn.launch.devices import processes
from pixelcnn.launch.ranks import interactive, started_by_srun


def require_tasks(options: DictConfig, environment: Mapping[str, str] = os.environ) -> None:
    """Raise UserError in a Slurm job whose tasks do not match the processes that ``options`` ask for."""
    if "TORCHELASTIC_RUN_ID" in environment or "SLURM_NTASKS" not in environment:
        return
    tasks, by_srun = int(environment["SLURM_NTASKS"]), started_by_srun(environment)
    devices, nodes = processes(options), options.num_nodes
    if interactive(environment):
        if by_srun and tasks > 1:
            raise UserError(
                f"srun has started {tasks} tasks in an interactive job, and each would be a separate run: leave srun "
                f"out, trainer.devices={devices} starts the processes."
            )
        return
    machines, per_node = int(environment.get("SLURM_NNODES", "1")), environment.get("SLURM_NTASKS_PER_NODE")
    # Lightning needs to know the number of tasks per machine.
    known = per_node == str(devices) or (per_node is None and tasks == 1)
    if (by_srun or tasks == 1) and (tasks, machines) == (devices * nodes, nodes) and known:
        return
    if by_srun:
        given = f"with --ntasks-per-node={per_node}" if per_node else "without --ntasks-per-node"
        there = f"srun has started {tasks}, --nodes={machines} {given}"
    else:
        there = f"run.py was started without srun in a job of {tasks}"
    raise UserError(
        f"trainer.devices={options.devices} and trainer.num_nodes={nodes} need a Slurm task for each device, but "
        f"{there}: ask sbatch or srun for --nodes={nodes} --ntasks-per-node={devices} and start srun python run.py."
    )
