"""What Slurm has started and what is asked for; each environment is as Slurm 22.05 made it."""

import pytest

from pixelcnn.errors import UserError
from pixelcnn.launch.slurm import require_tasks
from tests.configuration.trainer_options import trainer_options
from tests.test_command_line import command_line  # noqa: F401


def options(devices=1, num_nodes=1):
    return trainer_options(accelerator="cpu", devices=devices, num_nodes=num_nodes)


def job(tasks=None, per_node=None, nodes=1, name="train"):
    """Of a job's script."""
    given = {"SLURM_NTASKS": tasks, "SLURM_NTASKS_PER_NODE": per_node, "SLURM_NNODES": nodes, "SLURM_JOB_NAME": name}
    return {"SLURM_PROCID": "0", **{key: str(value) for key, value in given.items() if value is not None}}


def srun(tasks, **given):
    return {**job(tasks, **given), "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": str(tasks)}


INTERACTIVE = {"name": "interactive"}
TORCHRUN = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8"}


@pytest.mark.parametrize(
    ("environment", "devices", "nodes"),
    [
        ({}, 8, 1), (job(), 1, 1), (job(), 8, 1), (job(1), 1, 1), (job(1, per_node=1), 1, 1),
        (srun(1), 1, 1), (srun(1, per_node=1), 1, 1), (srun(8, per_node=8), 8, 1),
        (srun(16, per_node=8, nodes=2), 8, 2), (srun(2, per_node=1, nodes=2), 1, 2),
        (job(2, **INTERACTIVE), 2, 1), (job(2, **INTERACTIVE), 1, 1), (srun(1, name="bash"), 8, 1),
        ({**srun(1), **TORCHRUN}, 8, 1),
    ],
)  # fmt: skip
def test_what_was_started_as_asked(environment, devices, nodes):
    require_tasks(options(devices, nodes), environment)


@pytest.mark.parametrize(
    ("environment", "devices", "nodes", "what"),
    [
        (srun(1), 8, 1, "srun has started 1,"), (srun(1, per_node=1), 2, 1, "--ntasks-per-node=1: ask .*=2 and"),
        (srun(2), 2, 1, "started 2, --nodes=1 without --ntasks-per-node"), (srun(2), 1, 1, "started 2,"),
        (srun(2, per_node=8), 2, 1, "with --ntasks-per-node=8: ask .*--nodes=1 --ntasks-per-node=2"),
        (srun(1, per_node=8), 1, 1, "with --ntasks-per-node=8"), (srun(2, per_node=1, nodes=2), 2, 1, "--nodes=2"),
        (srun(2, per_node=2), 1, 2, "started 2, --nodes=1 with .*: ask .*--nodes=2 --ntasks-per-node=1"),
        (job(2), 2, 1, "without srun in a job of 2"), (job(2, per_node=2), 2, 1, "without srun in a job of 2"),
        (job(2, per_node=2), 1, 1, "without srun"), (job(1), 2, 1, "without srun in a job of 1"),
        (job(1, per_node=1), 2, 1, "without srun in a job of 1"),
        # The shell that sbatch was called from was a task itself.
        ({**job(2), "SLURM_STEP_NUM_TASKS": "1"}, 2, 1, "without srun in a job of 2"),
    ],
)  # fmt: skip
def test_what_was_not_started_as_asked_is_refused(environment, devices, nodes, what):
    with pytest.raises(UserError, match=f"^trainer.devices={devices} and trainer.num_nodes={nodes} .*{what}"):
        require_tasks(options(devices, nodes), environment)


def test_runs_in_an_interactive_job_do_not_start_each_other():
    with pytest.raises(UserError, match=r"srun .*2 .*interactive"):
        require_tasks(options(2), srun(2, **INTERACTIVE))


def test_a_run_is_refused_before_it_leaves_anything(
    command_line,  # noqa: F811
    monkeypatch,
    tmp_path,
):
    for name, value in srun(1, per_node=1).items():
        monkeypatch.setenv(name, value)
    run = ("data=digits", "trainer.accelerator=cpu", f"hydra.run.dir={tmp_path}/run")
    with pytest.raises(SystemExit, match=r"^trainer.devices=2 .*srun .*1"):
        command_line(*run, "trainer.devices=2")
    with pytest.raises(SystemExit, match=r"^trainer.devices=2 .*srun .*1"):
        command_line(*run, "trainer.devices=2", "task=evaluate", "checkpoint=none.ckpt")
    assert not (tmp_path / "run").exists()
