"""What Hydra calls before and after a single run: the check that precedes it, and the line that names what it left."""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict

from pixelcnn.configuration.checks import check
from pixelcnn.configuration.ranks import is_first
from pixelcnn.configuration.refusal import job_refusals


class RunCallback(Callback):
    """Named in ``conf/config.yaml``."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuse what is wrong before Hydra writes into the run directory, which may hold an earlier run."""
        HydraConfig.instance().set_config(config)
        job_config = config.copy()
        OmegaConf.set_readonly(job_config, False)
        with open_dict(job_config):
            del job_config["hydra"]
        with job_refusals():
            check(job_config)

    def on_run_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Say where a successful run has left its files; one process of a distributed run says it."""
        job_return: JobReturn = kwargs["job_return"]
        if job_return.status is JobStatus.COMPLETED and is_first():
            print(f"Run directory: {Path(config.hydra.run.dir).resolve()}", flush=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Say where the directories of a sweep's runs are."""
        print(f"Sweep directory: {Path(config.hydra.sweep.dir).resolve()}", flush=True)
