"""The origin of a run: its command, environment, configuration and time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from pixelcnn.report import commands
from pixelcnn.report.page import Outcome, Page, Section


@dataclass(frozen=True, eq=False, kw_only=True)
class Reported:
    """What the report of every run needs."""

    run_dir: Path
    record: Mapping[str, Any]  # that of ``pixelcnn.training.record``
    overrides: list[str]
    config: Mapping[str, Any]  # plain
    world_size: int = 1


def page_about(
    run: Reported,
    title: str,
    called: str,
    outcome: Outcome,
    facts: list[tuple[str, str]],
    sections: list[Section],
    further_commands: Sequence[tuple[str, str]] = (),
    starts: Sequence[tuple[str, str]] = (),
) -> Page:
    """The page about ``run``, ``called`` a run or an evaluation, with its origin; ``title`` goes before the model."""
    return Page(
        title=f"{title} {subject(run.config)}",
        directory=str(run.run_dir),
        outcome=outcome,
        facts=facts,
        sections=sections,
        commands=[
            (f"The command of this {called}:", run.record["command"]),
            (f"To repeat this {called}, in {run.record['directory']}:", commands.again(run.overrides)),
            *further_commands,
        ],
        overrides=run.overrides,
        configuration=yaml.safe_dump(dict(run.config), sort_keys=False, allow_unicode=True),
        environment=[*starts, *_environment(run.record, run.run_dir, run.world_size)],
        written=now(),
    )


def _environment(record: Mapping[str, Any], run_dir: Path, world_size: int) -> list[tuple[str, str]]:
    return [
        ("run directory", str(run_dir)),
        ("started in", record["directory"]),
        ("machine", f"{record['host']}, {record['system']}"),
        ("device", record["device"]),
        ("processes", str(world_size)),
        ("git revision", record["git_revision"] or "not a checkout"),
        *((name, version) for name, version in record["versions"].items() if version is not None),
    ]


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
