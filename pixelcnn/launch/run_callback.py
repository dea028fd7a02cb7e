"""Hydra callbacks around runs and sweeps: checks before, results after."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from pixelcnn.configuration.checks import check, check_groups
from pixelcnn.configuration.stored_data import take_stored, typed
from pixelcnn.errors import UserError
from pixelcnn.launch.devices import check_devices, require_machines
from pixelcnn.launch.ranks import is_first, started_outside
from pixelcnn.launch.refusal import callback_refusals
from pixelcnn.launch.run_directory import CLAIMS, EARLIER_FILES, claimed, claimed_sweep
from pixelcnn.launch.slurm import require_tasks
from pixelcnn.launch.sweep import require_runnable
from pixelcnn.launch.sweep_results import swept_keys, write_results


def require_keys_of_jobs(config: DictConfig) -> None:
    """Raise UserError if a grid over keys (not over options) has an unknown key.

    ``config`` has Hydra's node; keys with several values are absent from it.
    """
    parsed = OverridesParser.create().parse_overrides(typed(config.hydra))
    swept = [override for override in parsed if override.is_sweep_override()]
    if not all(override.is_choice_sweep() and "." in override.key_or_group for override in swept):
        return
    job = without_hydra(config)
    for override in swept:
        OmegaConf.update(job, override.key_or_group, next(override.sweep_iterator()), force_add=True)
    take_stored(job, typed(config.hydra))
    check_groups(job, typed(config.hydra))


def without_hydra(config: DictConfig) -> DictConfig:
    """A composed configuration in the form that its job gets."""
    job = config.copy()
    OmegaConf.set_readonly(job, False)
    with open_dict(job):
        del job["hydra"]
    return job


class RunCallback(Callback):
    """Named in ``conf/config.yaml``."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse wrong input before Hydra writes into the run directory, which may hold an earlier run."""
        HydraConfig.instance().set_config(config)
        job_config = without_hydra(config)
        with callback_refusals():
            if not str(config.hydra.run.dir):
                raise UserError("hydra.run.dir is empty: give hydra.run.dir=DIR.")
            overrides = typed(config.hydra)
            take_stored(job_config, overrides)
            uses_devices = check(job_config, overrides).uses_devices
            if uses_devices:
                check_devices(job_config.trainer)
            require_machines(job_config.trainer)
            if uses_devices:
                require_tasks(job_config.trainer)
            if is_first():  # other ranks come later and write no Hydra files
                run_dir = Path(config.hydra.run.dir)
                composed = run_dir / str(config.hydra.output_subdir)
                EARLIER_FILES.note(run_dir, composed)
                CLAIMS.enter_context(claimed(run_dir, job_config))
                EARLIER_FILES.keep(composed)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a sweep that runs in each of several processes, and prepare the directory for its results."""
        count = started_outside()
        if count > 1:
            raise SystemExit(
                f"-m under torchrun or srun would run the sweep {count} times: leave them out, "
                "trainer.devices=N starts N processes for each job."
            )
        with callback_refusals():
            require_runnable(config)
            require_keys_of_jobs(config)
            CLAIMS.enter_context(claimed_sweep(config))
            self._sweep = Path(config.hydra.sweep.dir), swept_keys(config)
            self._best: str | None = None
            CLAIMS.callback(write_results, *self._sweep)  # however it ends

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Add a sweep's job to the results at once, in case a later one fails."""
        if config.hydra.mode == RunMode.MULTIRUN and is_first():
            self._best = write_results(*self._sweep)

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print where a successful run has written its files, once per distributed run."""
        job_return: JobReturn = kwargs["job_return"]
        if job_return.status is JobStatus.COMPLETED and is_first():
            print(f"Run directory: {Path(config.hydra.run.dir).resolve()}", flush=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the best job of a sweep, and where its results and run directories are."""
        if self._best is not None:
            print(self._best)
            print(f"Comparison: {Path(config.hydra.sweep.dir).resolve() / 'sweep.html'}")
        print(f"Sweep directory: {Path(config.hydra.sweep.dir).resolve()}", flush=True)
