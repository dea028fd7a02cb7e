"""The job script of docs/interrupted-runs.md and the mistakes that it avoids, under a Slurm of one machine that is
started here."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.tasks.conftest import TINY
from tests.tasks.test_distributed import ROOT

DAEMONS = ("munged", "slurmctld", "slurmd")
PROGRAMS = ("srun", "sbatch", "scontrol", "squeue")
missing = [name for name in (*DAEMONS, *PROGRAMS) if shutil.which(name) is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing), reason=f"needs Slurm (Debian's slurm-wlm and munge): {', '.join(missing)}"),
]

CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES PriorityTier=1 GraceTime=60
PartitionName=high Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""
PAGE = (ROOT / "docs/interrupted-runs.md").read_text()
SCRIPT = re.search(r"^#!/bin/bash\n#SBATCH.*?(?=^```)", PAGE, re.M | re.S)[0]


def until(true: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.3)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory) -> Iterator[Callable[..., str]]:
    """Runs one of Slurm's programs; returns what it says."""
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [server.getsockname()[1] for server in (one, other)]
    host, user = socket.gethostname().partition(".")[0], Path("~").expanduser().owner()
    (folder / "slurm.conf").write_text(CONFIGURATION.format(host=host, user=user, folder=folder, ports=ports))
    (folder / "munge.key").write_bytes(bytes(range(128)))
    (folder / "munge.key").chmod(0o600)
    environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    environment["SLURM_CONF"] = str(folder / "slurm.conf")
    munge = [f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")]
    commands = (
        ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge],
        ["slurmctld", "-D", "-c"],
        ["slurmd", "-D"],
    )
    daemons = []
    for command in commands:
        with (folder / f"{command[0]}.out").open("w") as file:
            daemons.append(subprocess.Popen(command, env=environment, stdout=file, stderr=file))
        time.sleep(1)

    def call(*command: str) -> str:
        outcome = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert outcome.returncode == 0, outcome
        return outcome.stdout

    try:
        until(lambda: "idle" in call("sinfo", "--noheader"), 120)
        yield call
    finally:
        with suppress(AssertionError):
            call("scancel", f"--user={user}")
            until(lambda: not call("squeue", "--noheader"), 120)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait()


@pytest.fixture
def submit(slurm, arrays, tmp_path) -> Callable[..., str]:
    """Submits a script that trains a tiny model for the given command; returns the job's number."""
    run = (*arrays, *TINY, "trainer.accelerator=cpu", "trainer.enable_progress_bar=false", "callbacks.samples=null")

    def submit(script: str, *keys: str, options: tuple[str, ...] = ()) -> str:
        tiny = " ".join((*run, *keys))
        script = re.sub(r"experiment=cifar10 trainer.devices=8 hydra.run.dir=RUN", tiny, script)
        script = script.replace("--ntasks-per-node=8 --gpus-per-node=8", "--ntasks-per-node=2")
        (tmp_path / "job.sh").write_text(script)
        output = f"--output={tmp_path}/job.out"
        return slurm("sbatch", "--parsable", output, *options, f"{tmp_path}/job.sh").strip()

    return submit


def state(slurm, job: str) -> dict[str, str]:
    """Of a job, by what Slurm calls its parts."""
    return dict(re.findall(r"(\w+)=(\S+)", slurm("scontrol", "show", "job", job)))


def ended(slurm, job: str) -> Callable[[], bool]:
    return lambda: state(slurm, job)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING")


def test_the_script_of_the_readme(slurm, submit, tmp_path):
    run = tmp_path / "run"
    job = submit(SCRIPT, "trainer.devices=2", "trainer.max_steps=4", f"hydra.run.dir={run}")
    until(ended(slurm, job))
    after = state(slurm, job)
    assert (after["JobState"], after["ExitCode"], after["Restarts"]) == ("COMPLETED", "0:0", "0")
    assert (run / "metrics.json").exists() and '"world_size": 2' in (run / "run.json").read_text()


def test_preempted_with_a_grace_time_it_is_requeued_and_resumes(slurm, submit, tmp_path):
    run = tmp_path / "run"
    keys = ("trainer.devices=2", "trainer.max_epochs=60", f"hydra.run.dir={run}")
    job = submit(SCRIPT, *keys)
    until((run / "checkpoints/last.ckpt").exists)
    other = slurm("sbatch", "--parsable", "--partition=high", "--ntasks=2", "--output=/dev/null", "--wrap=true").strip()
    until(lambda: state(slurm, job)["Restarts"] == "1" and state(slurm, job)["JobState"] == "PENDING")
    until(ended(slurm, other))
    assert not (run / "metrics.json").exists() and "SIGTERM: stopped after step" in (tmp_path / "job.out").read_text()
    slurm("scontrol", "update", f"JobId={job}", "StartTime=now")  # Slurm waits two minutes
    until(ended(slurm, job), 300)
    assert state(slurm, job)["JobState"] == "COMPLETED" and (run / "metrics.json").exists()
    assert "checkpoint=last: resuming from" in (tmp_path / "job.out").read_text()


def test_cancelled_it_is_not_requeued(slurm, submit, tmp_path):
    run = tmp_path / "run"
    job = submit(SCRIPT, "trainer.devices=2", "trainer.max_epochs=1000", f"hydra.run.dir={run}")
    until((run / "checkpoints/last.ckpt").exists)
    slurm("scancel", job)
    until(ended(slurm, job))
    assert state(slurm, job)["JobState"] == "CANCELLED" and state(slurm, job)["Restarts"] == "0"


@pytest.mark.parametrize(
    ("options", "command", "devices", "what"),
    [
        ("--ntasks=1", "srun python", 2, "srun has started 1,"),
        ("--ntasks=2", "srun --ntasks=2 python", 1, "has started 2"),
        ("--ntasks=2", "srun --ntasks=2 python", 2, "without --ntasks-per-node"),
        ("--ntasks-per-node=1", "python", 2, "without srun in a job of 1"),
        ("--ntasks-per-node=2", "python", 2, "without srun in a job of 2"),
    ],
)
def test_what_is_not_started_as_asked_ends_in_a_sentence(slurm, submit, tmp_path, options, command, devices, what):
    run = tmp_path / "run"
    script = f"#!/bin/bash\n{command} run.py experiment=cifar10 trainer.devices=8 hydra.run.dir=RUN\n"
    job = submit(script, f"trainer.devices={devices}", f"hydra.run.dir={run}", options=(options,))
    until(ended(slurm, job))
    said = (tmp_path / "job.out").read_text()
    assert state(slurm, job)["JobState"] == "FAILED" and not run.exists()
    assert what in said and f"trainer.devices={devices} and trainer.num_nodes=1" in said and "Traceback" not in said
