"""The tab key: groups, options and keys, for ``python run.py`` and for ``pixelcnn``, without the seconds of torch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytorch_lightning import Trainer

from pixelcnn.configuration.completion import trainer_keys
from pixelcnn.signature import arguments_of

ROOT = Path(__file__).parents[1]
SHELL = """
eval "$({name} -sc install=bash)"
COMP_WORDS=($COMP_LINE); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_POINT=${{#COMP_LINE}}
[ "${{COMP_LINE: -1}}" = " " ] && COMP_CWORD=$((COMP_CWORD + 1))
hydra_bash_completion
echo "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def tab(tmp_path):
    """What bash completes the last word of a line to."""
    command = tmp_path / "pixelcnn"  # as pip installs it
    command.write_text(f"#!{sys.executable}\nimport sys\nfrom pixelcnn.cli import main\nsys.exit(main())\n")
    command.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), str(Path(sys.executable).parent), os.environ["PATH"]])

    def tab(line: str) -> list[str]:
        name = "python run.py" if line.startswith("python") else "pixelcnn"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "COMP_LINE": line}
        script = ["bash", "-c", SHELL.format(name=name)]
        return subprocess.run(
            script, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        ).stdout.split()

    return tab


@pytest.mark.parametrize("command", ["python run.py", "pixelcnn"])
def test_groups_options_and_keys(tab, command):
    assert {"data=", "optim=", "checkpoint="} <= set(tab(f"{command} "))
    assert tab(f"{command} experiment=digits optim=ada") == ["optim=adam", "optim=adamw"]
    assert tab(f"{command} experiment=digits callbacks.samples.num") == ["callbacks.samples.num_samples="]
    assert tab(f"{command} -m trainer.max_") == ["trainer.max_epochs=", "trainer.max_steps=", "trainer.max_time="]


def test_options_of_a_users_own(tab):
    own = [path.stem for path in (ROOT / "examples/own_network/conf/model").glob("*.yaml")]
    found = tab("pixelcnn --config-dir examples/own_network/conf model=")
    assert {f"model={name}" for name in (*own, "pixelcnn_pp")} <= set(found) and own
    assert "data=digits" in tab("pixelcnn --config-dir no_such_folder data=")


def test_the_trainers_keys_are_read_without_importing_it():
    assert trainer_keys() == list(arguments_of(Trainer))


def test_torch_is_not_imported():
    code = (
        "import sys\nfrom pixelcnn.cli import main\nsys.argv = ['run.py', '-sc', 'query=bash']\nmain()\n"
        "print(*(name for name in ('torch', 'pytorch_lightning', 'wandb') if name in sys.modules), file=sys.stderr)"
    )
    environment = {**os.environ, "COMP_LINE": "python run.py trainer.max_"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert "trainer.max_epochs=" in done.stdout.split() and done.stderr.split() == []
