"""Registers the schemas with Hydra, under names that the options of ``conf/`` list first in their defaults."""

from collections.abc import Mapping

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from pixelcnn.configuration.booleans import refuse_other_numbers
from pixelcnn.configuration.network import NETWORKS
from pixelcnn.configuration.objective import OBJECTIVES
from pixelcnn.configuration.schemas import LOGGERS, Config
from pixelcnn.configuration.tasks import TASKS
from pixelcnn.configuration.trainer import TrainerOptions
from pixelcnn.options import CONDITIONINGS, LIKELIHOODS

GROUPS: dict[str, Mapping[str, type]] = {
    "task": TASKS,
    "model": NETWORKS,
    "likelihood": LIKELIHOODS,
    "conditioning": CONDITIONINGS,
    "objective": OBJECTIVES,
    "trainer": {"default": TrainerOptions},
    "logger": LOGGERS,
}


def register() -> None:
    """Make ``schema`` (the whole) and ``schema_GROUP_OPTION`` known to Hydra; to be called before it composes."""
    refuse_other_numbers()
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for group, options in GROUPS.items():
        for name, schema in options.items():
            node = OmegaConf.structured(schema)
            # OmegaConf takes a frozen dataclass for a read-only node; it is the values in use that do not change.
            OmegaConf.set_readonly(node, None)
            # Outside any group: as a member of one it would be offered as an option.
            store.store(name=f"schema_{group}_{name}", node=node)
