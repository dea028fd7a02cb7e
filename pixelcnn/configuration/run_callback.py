"""What Hydra calls around runs and sweeps: checks before them, and what is left and said in the end."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from pixelcnn.configuration.checks import check
from pixelcnn.configuration.devices import require_machines
from pixelcnn.configuration.ranks import is_first, started_outside
from pixelcnn.configuration.refusal import callback_refusals
from pixelcnn.configuration.run_directory import COMPOSED_FILES, require_free, require_free_sweep
from pixelcnn.configuration.slurm import require_tasks
from pixelcnn.configuration.sweep import require_runnable
from pixelcnn.configuration.sweep_results import swept_keys, write_results
from pixelcnn.configuration.trainer import trainer_options
from pixelcnn.errors import UserError


class RunCallback(Callback):
    """Named in ``conf/config.yaml``."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse what is wrong before Hydra writes into the run directory, which may hold an earlier run."""
        HydraConfig.instance().set_config(config)
        job_config = config.copy()
        OmegaConf.set_readonly(job_config, False)
        with open_dict(job_config):
            del job_config["hydra"]
        with callback_refusals():
            if not str(config.hydra.run.dir):
                raise UserError("hydra.run.dir is empty: give hydra.run.dir=DIR.")
            check(job_config)
            require_machines(trainer_options(job_config))
            if OmegaConf.to_object(job_config.task).uses_devices:  # type: ignore[union-attr]
                require_tasks(trainer_options(job_config))
            if is_first():  # the others of a distributed run come later, and write no files of Hydra's
                require_free(Path(config.hydra.run.dir), job_config)
                COMPOSED_FILES.keep(Path(config.hydra.run.dir) / str(config.hydra.output_subdir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse a sweep in each of several processes; have a directory for its results."""
        count = started_outside()
        if count > 1:
            raise SystemExit(
                f"-m under torchrun or srun would run the sweep {count} times: leave them out, "
                "trainer.devices=N starts N processes for each job."
            )
        with callback_refusals():
            require_free_sweep(config)
            require_runnable(config)
            self._sweep = Path(config.hydra.sweep.dir), swept_keys(config)
            self._sweep[0].mkdir(parents=True, exist_ok=True)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Add a sweep's job to its results, which are there if a later one fails."""
        if config.hydra.mode == RunMode.MULTIRUN and is_first():
            write_results(*self._sweep)

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Say where a successful run has left its files; one process of a distributed run says it."""
        job_return: JobReturn = kwargs["job_return"]
        if job_return.status is JobStatus.COMPLETED and is_first():
            print(f"Run directory: {Path(config.hydra.run.dir).resolve()}", flush=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Say where a sweep's results and the directories of its runs are."""
        write_results(*self._sweep)
        print(f"Sweep directory: {Path(config.hydra.sweep.dir).resolve()}", flush=True)
