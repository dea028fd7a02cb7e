"""The command ``pixelcnn``: composes and checks the configuration, then runs a task."""

import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from pixelcnn.configuration.checks import check
from pixelcnn.configuration.completion import asked_by_shell, prepared
from pixelcnn.configuration.groups import register
from pixelcnn.configuration.stored_data import take_stored, typed
from pixelcnn.launch.ctrl_c import ended_by_ctrl_c
from pixelcnn.launch.devices import check_devices
from pixelcnn.launch.ranks import directory_of_its_own, is_first
from pixelcnn.launch.refusal import job_refusals, refusals, require_options
from pixelcnn.launch.run_directory import CLAIMS, claimed, require_free
from pixelcnn.launch.said_once import said_once
from pixelcnn.launch.sweep import one_group, run_apart, runs_apart
from pixelcnn.memory_limit import limited_memory
from pixelcnn.released import located
from pixelcnn.report.commands import config_dir, started

# Installed, the configuration is in the package; in a checkout, beside it.
CONF = next(
    folder for folder in (Path(__file__).parent / "conf", Path(__file__).parents[1] / "conf") if folder.is_dir()
)

register()
OmegaConf.register_new_resolver("command", lambda: " ".join(started()), replace=True)  # for --help


def job(config: DictConfig) -> float | None:
    """Run the task of one composed configuration; returns the value that a sweep minimises, if there is one."""
    context = HydraConfig.get()
    with job_refusals(), limited_memory(), one_group(context):
        overrides = typed(context)
        for key in ("checkpoint", "init_from"):
            if config[key] is not None:
                config[key] = str(located(config[key]))
        take_stored(config, overrides)
        # Those of a single run have been checked before Hydra wrote anything.
        task = check(config, overrides if context.mode == RunMode.MULTIRUN else ())
        if task.uses_devices:
            check_devices(config.trainer)
        run_dir, swept = Path(context.runtime.output_dir), context.mode == RunMode.MULTIRUN
        if runs_apart(config.trainer, context.mode):
            require_free(run_dir, config, "hydra.sweep.dir")
            return run_apart(context)
        # The directory of a single run has been claimed before Hydra wrote into it.
        with claimed(run_dir, config, "hydra.sweep.dir") if swept and is_first() else nullcontext():
            return import_module(task.module()).run(config, run_dir, overrides)


def import_from(arguments: Sequence[str]) -> None:
    """Make modules beside the ``--config-dir`` and in the working directory importable, also in further processes."""
    folder = config_dir(arguments)
    places = ([] if folder is None else [str(Path(folder).resolve().parent)]) + [os.getcwd()]
    new = [place for place in dict.fromkeys(places) if place not in sys.path]
    sys.path[:0] = new
    os.environ["PYTHONPATH"] = os.pathsep.join([*new, *filter(None, [os.environ.get("PYTHONPATH")])])


def flags_first(arguments: Sequence[str]) -> list[str]:
    """``arguments`` with every key=value at the end, since argparse accepts them in one place only."""
    return sorted(arguments, key=lambda one: not one.startswith("-") and ("=" in one or one.startswith("~")))


def main() -> None:
    """The command line."""
    # Slurm may be installed without being used.
    warnings.filterwarnings("ignore", "The `srun` command is available")
    import_from(sys.argv)
    sys.argv[1:] = flags_first(sys.argv[1:])
    if asked_by_shell(sys.argv):
        sys.argv = prepared(sys.argv)
    with ended_by_ctrl_c(), said_once(), refusals(job), directory_of_its_own(sys.argv), CLAIMS:
        require_options(sys.argv[1:], CONF)
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()
