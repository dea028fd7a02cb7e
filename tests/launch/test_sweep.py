import json
import signal
from pathlib import Path

import pytest
from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode

from pixelcnn.errors import UserError
from pixelcnn.launch.sweep import run_apart, runs_apart, warn_without_sacct
from tests.configuration.trainer_options import trainer_options


def options(devices=1, num_nodes=1):
    return trainer_options(accelerator="cpu", devices=devices, num_nodes=num_nodes)


@pytest.mark.parametrize(
    ("mode", "devices", "apart"),
    [(RunMode.RUN, 2, False), (RunMode.MULTIRUN, 1, False), (RunMode.MULTIRUN, "auto", False),
     (RunMode.MULTIRUN, 2, True), (RunMode.MULTIRUN, "2", True)],
)  # fmt: skip
def test_jobs_of_several_processes_run_apart(mode, devices, apart):
    assert runs_apart(options(devices), mode) is apart


def test_processes_that_slurm_has_started_for_a_job_are_used(monkeypatch):
    given = {"NTASKS": 4, "STEP_NUM_TASKS": 4, "NTASKS_PER_NODE": 2, "NNODES": 2}
    for name, value in given.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    assert not runs_apart(options(2, num_nodes=2), RunMode.MULTIRUN)
    with pytest.raises(UserError, match=r"trainer.devices=4 .*srun .*4, --nodes=2"):
        runs_apart(options(4), RunMode.MULTIRUN)


def test_a_job_of_one_process_does_not_wait_for_tasks_that_nobody_starts(monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "2")
    with pytest.raises(UserError, match=r"trainer.devices=1 .*srun .*2"):
        runs_apart(options(1), RunMode.MULTIRUN)


def test_a_sweep_does_not_wait_for_machines_that_nobody_starts():
    with pytest.raises(UserError, match=r"trainer.num_nodes=2 .* hydra.launcher.tasks_per_node=8"):
        runs_apart(options(8, num_nodes=2), RunMode.MULTIRUN)


@pytest.fixture
def context(tmp_path):
    """Of a job of a sweep, as Hydra has it."""
    hydra = HydraConf()
    hydra.runtime.cwd, hydra.runtime.config_sources = str(tmp_path), []
    hydra.runtime.output_dir = str(tmp_path / "a=1,b='x y'")
    hydra.overrides.hydra = ["hydra.mode=MULTIRUN", "hydra.sweep.dir=s"]
    hydra.overrides.task = ["optim.lr=0.1", "model.dropout=0.5"]
    (tmp_path / "a=1,b='x y'").mkdir()
    return hydra


def program(directory: Path, text: str) -> None:
    """``python -m pixelcnn``, started in ``directory``, runs ``text``."""
    (directory / "pixelcnn").mkdir()
    (directory / "pixelcnn/__init__.py").touch()
    (directory / "pixelcnn/__main__.py").write_text(text)


def test_a_job_apart_is_given_its_own_overrides_and_directory(context, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "1")
    echo = """if True:
        import json, os, pathlib, sys
        given = {"arguments": sys.argv[1:], "slurm": os.environ["SLURM_JOB_NAME"]}
        pathlib.Path("given.json").write_text(json.dumps(given))
        pathlib.Path("a=1,b='x y'/metrics.json").write_text('{"val/bits_per_dim": 2.5, "step": 3}')
    """
    program(tmp_path, echo)
    assert run_apart(context) == 2.5
    given = json.loads((tmp_path / "given.json").read_text())
    assert given["slurm"] == "interactive"
    overrides = OverridesParser.create().parse_overrides(given["arguments"])
    last = {override.key_or_group: override.value() for override in overrides}  # of several
    assert last == {
        "hydra.run.dir": context.runtime.output_dir,
        "optim.lr": 0.1, "model.dropout": 0.5,
        "hydra.sweep.dir": "s", "hydra.mode": "RUN", "hydra.output_subdir": None,
    }  # fmt: skip


@pytest.mark.parametrize("status", [130, 0])
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_reaches_a_job_apart_as_often_as_it_was_pressed_and_ends_the_sweep(context, tmp_path, status, times):
    """Whether the job notices or was about to finish."""
    count = f"""if True:
        import os, pathlib, signal, time
        got = []
        signal.signal(signal.SIGINT, lambda number, frame: got.append(number))
        for _ in range({times}):
            os.kill(os.getppid(), signal.SIGINT)
            time.sleep(0.2)
        pathlib.Path("got").write_text(str(len(got)))
        assert os.getpgid(0) != os.getpgid(os.getppid())  # where a terminal's own would come as well
        raise SystemExit({status})
    """
    program(tmp_path, count)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(SystemExit) as end:
        run_apart(context)
    assert end.value.code == 130 and (tmp_path / "got").read_text() == str(times)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_job_apart_that_scores_nothing_has_no_objective(context, tmp_path):
    program(tmp_path, "")
    assert run_apart(context) is None


def test_a_job_apart_that_fails_ends_in_a_sentence(context, tmp_path):
    program(tmp_path, "raise SystemExit(3)")
    with pytest.raises(UserError, match=r"x y' .*status 3"):
        run_apart(context)


@pytest.mark.parametrize("leaves", ["raise SystemExit(128 + number)", "os.kill(os.getpid(), number)"])
def test_what_would_have_handled_a_signal_is_called_once_a_job_apart_has_left(context, tmp_path, leaves):
    """As submitit's is, which requeues: also when the run had nothing to save yet."""

    class RequeuedError(Exception):
        pass

    def requeue(number, frame):
        raise RequeuedError(number)

    program(tmp_path, f"import os, signal\nnumber = signal.SIGUSR2\n{leaves}")
    before = signal.signal(signal.SIGUSR2, requeue)
    try:
        with pytest.raises(RequeuedError, match=str(int(signal.SIGUSR2))):
            run_apart(context)
        signal.signal(signal.SIGUSR2, signal.SIG_DFL)
        with pytest.raises(SystemExit, match=str(128 + signal.SIGUSR2)):
            run_apart(context)
    finally:
        signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize(
    ("sacct", "said"),
    [("exit 0", None), ("echo Slurm accounting storage is disabled >&2; exit 1", "accounting storage is disabled"),
      (None, "no sacct")],
)  # fmt: skip
def test_a_cluster_without_sacct_is_said(tmp_path, monkeypatch, capsys, sacct, said):
    for name, text in (("srun", "exit 0"), ("sacct", sacct)):
        if text is not None:
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    warn_without_sacct()
    told = capsys.readouterr().out
    assert told == "" if said is None else said in told and told.startswith("hydra/launcher=submitit_slurm")
