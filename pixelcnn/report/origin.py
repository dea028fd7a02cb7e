"""What made a run: its environment, its configuration as text, the time."""

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
    data = config["data"]["_target_"].rpartition(".")[2]
    conditioning = config["conditioning"]["name"]
    given = "" if conditioning == "none" else f", conditioning={conditioning}"
    return f"{config['model']['name']} with {config['likelihood']['name']} on {data}{given}"


def now() -> str:
    """Date and time with the zone."""
    return datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
