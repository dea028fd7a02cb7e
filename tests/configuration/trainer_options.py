"""The group ``trainer`` with keys of a test, checked as a composed one."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from pixelcnn.configuration.groups import checked_group
from pixelcnn.configuration.trainer import check_trainer


def trainer_options(**values: Any) -> DictConfig:
    """Lightning's defaults but for ``values`` and those of ``conf/trainer`` that checks rely on."""
    given = {"_target_": "pytorch_lightning.Trainer", "use_distributed_sampler": False, "devices": 1, **values}
    config = OmegaConf.create({"trainer": given})
    checked_group(config, "trainer")
    check_trainer(config.trainer)
    return config.trainer
