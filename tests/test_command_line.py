"""What a person types: wrong input ends in one sentence, bugs in a traceback, and a task gets what was composed."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.experimental.callback import Callback
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

import run
from pixelcnn.cli import CONF, flags_first
from pixelcnn.configuration.groups import register
from pixelcnn.errors import UserError
from pixelcnn.launch import run_directory
from tests.wrong_keys import REFUSED

QUIET = ("hydra/job_logging=none", "hydra/hydra_logging=none")  # "disabled" outlives the test


@pytest.fixture
def command_line(monkeypatch, tmp_path):
    """``run.py`` with the given arguments, in this process and with its directories in ``tmp_path``."""

    def call(*arguments: str) -> None:
        directories = (f"hydra.run.dir={tmp_path}/run", f"hydra.sweep.dir={tmp_path}/sweep")
        monkeypatch.setattr(sys, "argv", ["run.py", *arguments, *directories, *QUIET])
        run.main()

    return call


@pytest.fixture
def task(monkeypatch):
    """Puts a function in the place of the task ``train``."""

    def install(function) -> None:
        module = ModuleType("pixelcnn.tasks.train")
        module.run = function
        monkeypatch.setitem(sys.modules, module.__name__, module)

    return install


@pytest.mark.parametrize(("arguments", "key", "told"), REFUSED, ids=[row[0] for row in REFUSED])
def test_wrong_input_is_refused_in_one_sentence_before_anything_is_written(
    command_line, capfd, tmp_path, arguments, key, told
):
    separate = arguments.split(" ") if "{" not in arguments else [arguments]
    with pytest.raises(SystemExit) as exit_:
        command_line(*separate)
    sentence = exit_.value.code  # which Python prints on stderr, exiting with status 1
    assert isinstance(sentence, str) and key in sentence and told in sentence
    assert "\n" not in sentence and sentence[-1] in ".?"
    assert capfd.readouterr() == ("", "") and list(tmp_path.iterdir()) == []


def test_a_run_directory_that_cannot_be_made_is_named(command_line, tmp_path, task):
    task(lambda *_: None)
    (tmp_path / "run").write_text("a file in the way")
    with pytest.raises(SystemExit, match=r"/run .*File exists.* hydra.run.dir"):
        command_line("data=digits")


def test_a_run_that_waited_for_its_directory_overwrites_nothing(command_line, monkeypatch, tmp_path, task):
    """Not Hydra's files either."""
    task(lambda config, run_dir, _: (run_dir / "metrics.json").write_text("its own"))
    fork, try_to_lock = multiprocessing.get_context("fork"), run_directory._locked
    is_in, is_waited_for = fork.Event(), fork.Event()
    (tmp_path / "run").mkdir()

    def leave_a_result():
        with run_directory.occupied(tmp_path / "run"):
            is_in.set()
            assert is_waited_for.wait(240)
            (tmp_path / "run/metrics.json").write_text("another's")

    def wait(lock):
        is_waited_for.set()
        return try_to_lock(lock)

    other = fork.Process(target=leave_a_result)
    other.start()
    assert is_in.wait(240)
    monkeypatch.setattr(run_directory, "_locked", wait)
    with pytest.raises(SystemExit, match=r"/run .*metrics.json"):
        command_line("data=digits")
    other.join()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [".lock", "metrics.json"]
    assert (tmp_path / "run/metrics.json").read_text() == "another's"


@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra.sweep.dir"])
def test_default_directories_are_unique(key):
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        configs = [compose("config", ["data=digits"], return_hydra_config=True) for _ in range(3)]
    assert len({OmegaConf.select(config, key) for config in configs}) == 3


def test_what_memory_and_the_disk_refuse_is_told(command_line, tmp_path, task):
    task(lambda *_: torch.empty(10**15))
    with pytest.raises(SystemExit, match=r"memory .*data.batch_size"):
        command_line("data=digits")
    task(lambda config, run_dir, _: (run_dir / "run.log" / "samples.png").write_text(""))
    with pytest.raises(SystemExit, match=r"samples.png .*(Not a directory|No such file)"):
        command_line("data=digits")


def test_an_empty_directory_name_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "data=digits", "hydra.run.dir=", *QUIET])
    with pytest.raises(SystemExit, match=r"^hydra.run.dir "):
        run.main()


def test_slurm_is_asked_for_where_it_is(command_line, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"^hydra/launcher=submitit_slurm .*submitit_local"):
        command_line("-m", "hydra/launcher=submitit_slurm")


def test_a_damaged_study_is_named(command_line, tmp_path):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "study.db").write_text("no database" * 100)
    with pytest.raises(SystemExit, match=r"^hydra.sweeper.storage .*study.db"):
        command_line("sweep=optuna")


def test_a_task_gets_the_configuration_its_directory_and_what_was_typed(command_line, capsys, tmp_path, task):
    given = []
    task(lambda *arguments: given.append(arguments))
    command_line("data=digits", "optim.lr=1")
    [(config, run_dir, overrides)] = given
    assert config.optim.lr == 1.0 and isinstance(config.optim.lr, float)
    assert run_dir == tmp_path / "run" and overrides == ["data=digits", "optim.lr=1"]
    assert OmegaConf.load(run_dir / ".hydra/config.yaml").optim.lr == 1.0
    assert capsys.readouterr().out.splitlines()[-1] == f"Run directory: {run_dir}"


@pytest.mark.parametrize("rank", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_one_process_of_a_distributed_run_names_the_directory(command_line, capsys, monkeypatch, task, rank):
    task(lambda *_: None)
    monkeypatch.setenv(rank, "1")
    command_line("data=digits")
    assert capsys.readouterr().out == ""


def test_a_tasks_refusal_is_a_sentence_and_its_bug_keeps_its_traceback(command_line, capfd, task):
    def refuse(*_):
        raise UserError("data.root=x does not exist: name a folder.")

    task(refuse)
    with pytest.raises(SystemExit, match=r"^data.root=x does not exist: name a folder.$"):
        command_line("data=digits")
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_ends_with_its_status_and_without_a_traceback(command_line, capfd, task):
    def interrupt(*_):
        raise KeyboardInterrupt

    def caught_by_lightning(*_):
        try:
            interrupt()
        except KeyboardInterrupt:
            sys.exit(1)

    for function, told in ((interrupt, "Interrupted.\n"), (caught_by_lightning, "")):
        task(function)
        with pytest.raises(SystemExit) as end:
            command_line("data=digits")
        assert end.value.code == 130 and capfd.readouterr() == ("", told)


@pytest.mark.parametrize("error", [RuntimeError, ValueError, OSError, OmegaConfBaseException])
def test_a_bug_keeps_its_traceback(command_line, task, error):
    def fail(*_):
        raise error("a bug")

    task(fail)
    with pytest.raises(error, match="a bug"):
        command_line("data=digits")


class Returned(Callback):
    """Hydra's callback that notes what each job has returned."""

    values: list = []  # noqa: RUF012

    def on_job_end(self, config, job_return, **kwargs):
        self.values.append(job_return.return_value)


def test_a_sweep_runs_every_job_and_gets_what_it_returns(command_line, capsys, tmp_path, task):
    Returned.values.clear()
    task(lambda config, *_: config.optim.lr / 2)
    command_line("-m", "data=digits", "optim.lr=1,3", f"+hydra.callbacks.returned._target_={__name__}.Returned")
    assert Returned.values == [0.5, 1.5]
    assert (tmp_path / "sweep/1/.hydra/config.yaml").exists()
    assert capsys.readouterr().out.splitlines()[-1] == f"Sweep directory: {tmp_path}/sweep"


def test_a_sweep_goes_on_after_a_refused_job_and_ends_with_its_sentence(command_line, task):
    done = []
    task(lambda config, *_: done.append(config.optim.lr))
    with pytest.raises(SystemExit, match=r"^optim.lr=-1.0 "):
        command_line("-m", "data=digits", "optim.lr=-1,3")
    assert done == [3.0]


def test_a_misspelt_key_stops_a_sweep_before_its_first_job(command_line, tmp_path):
    with pytest.raises(SystemExit, match=r"optim.lr\?"):
        command_line("-m", "data=digits", "optim.lrr=1,3")
    assert not (tmp_path / "sweep/0").exists()


def test_child_processes_do_not_inherit_a_request_for_tracebacks(command_line, task):
    seen = []
    task(lambda *_: seen.append(os.environ.get("HYDRA_FULL_ERROR")))
    command_line("data=digits")
    assert seen == [None]


def python_run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python run.py`` in a process of its own."""
    script = Path(run.__file__)
    command = [sys.executable, script.name, *arguments]
    return subprocess.run(
        command, cwd=script.parent, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_the_sentence_is_all_that_a_process_prints():
    outcome = python_run("trainer.max_epochs=abc")
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr == "trainer.max_epochs=abc is of the wrong type: it takes a whole number or null.\n"


def test_hydras_switch_shows_the_traceback():
    outcome = python_run("trainer.max_epochs=abc", HYDRA_FULL_ERROR="1")
    assert outcome.returncode == 1 and "Traceback" in outcome.stderr and "UserError" in outcome.stderr


def test_help_names_tasks_and_options():
    outcome = python_run("--help")
    assert outcome.returncode == 0
    tasks = sorted(path.stem for path in CONF.glob("task/*.yaml"))
    assert f"task: {', '.join(tasks)}" in outcome.stdout and "schema" not in outcome.stdout
    assert "digits" in outcome.stdout and "$" not in outcome.stdout.replace('"$(python', "")


def test_help_speaks_of_the_command_that_was_given(tmp_path):
    (tmp_path / "bin").mkdir()
    installed = tmp_path / "bin/pixelcnn"  # as pip installs it
    installed.write_text("from pixelcnn.cli import main\nmain()\n")
    told = subprocess.run(
        [sys.executable, installed, "--help"], cwd=Path(run.__file__).parent, env={**os.environ, "PYTHONPATH": "."},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "\n  pixelcnn experiment=digits " in told and "run.py" not in told and "$(pixelcnn -sc install" in told


def test_tab_completes_groups_and_keys():
    completed = python_run("-sc", "query=bash", COMP_LINE="python run.py trainer.max_").stdout.split()
    assert completed == ["trainer.max_epochs=", "trainer.max_steps=", "trainer.max_time="]
    assert "data=digits" in python_run("-sc", "query=bash", COMP_LINE="python run.py data=").stdout.split()


def test_flags_may_stand_between_keys():
    typed = ["a=1", "--cfg", "job", "~b", "--config-dir", "conf", "-m", "+c=2"]
    assert flags_first(typed) == ["--cfg", "job", "--config-dir", "conf", "-m", "a=1", "~b", "+c=2"]
