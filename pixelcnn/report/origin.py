"""The origin of a run: its environment, configuration and time."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml


def environment(record: Mapping[str, Any], run_dir: Path, world_size: int) -> list[tuple[str, str]]:
    """Rows for a reader; ``record`` is that of ``pixelcnn.training.record``."""
    return [
        ("run directory", str(run_dir)),
        ("started in", record["directory"]),
        ("machine", f"{record['host']}, {record['system']}"),
        ("device", record["device"]),
        ("processes", str(world_size)),
        ("git revision", record["git_revision"] or "not a checkout"),
        *((name, version) for name, version in record["versions"].items() if version is not None),
    ]


def as_yaml(config: Mapping[str, Any]) -> str:
    """A composed configuration, in the order of its groups."""
    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)


def subject(config: Mapping[str, Any]) -> str:
    """Model and data in few words."""
    conditions = [name for name in conditions_of(config) if name != "Unconditional"]
    given = f", given {' and '.join(conditions)}" if conditions else ""
    return f"{class_of(config, 'model')} with {class_of(config, 'likelihood')} on {class_of(config, 'data')}{given}"


def conditions_of(config: Mapping[str, Any]) -> list[str]:
    """The names of the classes of conditioning, one or several."""
    chosen = config["conditioning"]
    parts = [chosen] if "_target_" in chosen else chosen.values()
    return [part["_target_"].rpartition(".")[2] for part in parts]


def class_of(config: Mapping[str, Any], group: str) -> str:
    """The name of the class that ``group`` of a composed configuration instantiates."""
    return config[group]["_target_"].rpartition(".")[2]


def now() -> str:
    """Date and time with the zone."""
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
