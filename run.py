"""The one entry: compose the configuration, check it, hand over to a task. ``python run.py --help`` says more."""

import sys
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from pixelcnn.configuration.checks import check
from pixelcnn.configuration.ranks import directory_of_its_own, is_first
from pixelcnn.configuration.refusal import check_arguments, job_refusals, refusals
from pixelcnn.configuration.run_directory import occupied, require_free
from pixelcnn.configuration.store import register
from pixelcnn.configuration.sweep import one_group, run_apart, runs_apart
from pixelcnn.configuration.tasks import TASKS
from pixelcnn.configuration.trainer import trainer_options
from pixelcnn.memory_limit import limited_memory

CONF = Path(__file__).resolve().parent / "conf"

register()


def job(config: DictConfig) -> float | None:
    """Run the task of one composed configuration; returns what a sweep minimises, if the task has such a value."""
    context = HydraConfig.get()
    with job_refusals(), limited_memory(), one_group(context):
        check(config)
        run_dir, swept = Path(context.runtime.output_dir), context.mode == RunMode.MULTIRUN
        key = "hydra.sweep.dir" if swept else "hydra.run.dir"
        if swept and is_first():
            require_free(run_dir, config, key)
        if runs_apart(trainer_options(config), context.mode):
            return run_apart(Path(__file__).resolve(), context)
        task = import_module(f"pixelcnn.tasks.{TASKS[config.task.name].module}")
        with occupied(run_dir, key) if is_first() else nullcontext():
            return task.run(config, run_dir, list(context.overrides.task))


def main() -> None:
    """The command line."""
    with refusals(job), directory_of_its_own(sys.argv):
        check_arguments(sys.argv[1:], CONF)
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()


if __name__ == "__main__":
    main()
