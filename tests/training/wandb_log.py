"""A run of Weights & Biases, read back from its folder alone."""

import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from wandb.proto.wandb_internal_pb2 import ArtifactRecord, Record

from tests.training.tiny import picture_in


class OfflineRun:
    """What ``wandb sync`` would upload of the only run in ``run_dir``, offline or not: its log and its files."""

    def __init__(self, run_dir: Path) -> None:
        (self.log,) = (run_dir / "wandb").glob("*run-*/run-*.wandb")
        self.files = self.log.parent / "files"
        self.records = list(_records(self.log.read_bytes()))

    @property
    def config(self) -> dict[str, Any]:
        """The configuration, by its groups."""
        updates = (item for record in self.records for item in [*record.run.config.update, *record.config.update])
        return _nested(updates)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows, each with what was logged in it by name."""
        return [_nested(record.history.item) for record in self.records if record.HasField("history")]

    def column(self, name: str) -> list[Any]:
        """All that was logged under ``name``."""
        return [row[name] for row in self.history if name in row]

    @property
    def minimised(self) -> dict[str, str]:
        """Names whose summary is the minimum, and their x-axes, which the log refers to by number."""
        metrics = [record.metric for record in self.records if record.HasField("metric")]
        return {metric.name: metric.step_metric for metric in metrics if metric.summary.min}

    @property
    def summary(self) -> dict[str, Any]:
        """The run's values in a table of runs."""
        return _nested(item for record in self.records for item in record.summary.update)

    def artifacts(self, kind: str) -> list[ArtifactRecord]:
        """Those of a type, in the order in which they were logged."""
        return [record.artifact for record in self.records if record.artifact.type == kind]

    def pictures(self, name: str) -> list[tuple[str, torch.Tensor]]:
        """The captions and the pixels, uint8 (3, height, width), of all pictures logged under ``name``."""
        return [
            (caption, picture_in(self.files / file))
            for logged in self.column(name)
            for caption, file in zip(logged["captions"], logged["filenames"], strict=True)
        ]

    def tables(self, name: str) -> list[list[dict[str, Any]]]:
        """The rows of all tables logged under ``name``; pictures as pixels, uint8 (3, height, width)."""
        return [_rows(artifact) for artifact in self.artifacts("run_table") if name in _files(artifact)]


def _files(artifact: ArtifactRecord) -> dict[str, Path]:
    """The files of an artifact by their names; of a table by the name that it was logged under."""
    return {entry.path.removesuffix(".table.json"): Path(entry.local_path) for entry in artifact.manifest.contents}


def _rows(table: ArtifactRecord) -> list[dict[str, Any]]:
    files = _files(table)
    (name,) = (name for name in files if not name.startswith("media/"))
    stored = json.loads(files[name].read_text())
    return [
        {
            column: picture_in(files[value["path"]]) if isinstance(value, dict) else value
            for column, value in zip(stored["columns"], row, strict=True)
        }
        for row in stored["data"]
    ]


def _nested(items: Iterable[Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for item in items:
        *groups, name = [item.key] if item.key else item.nested_key
        inner = values
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[name] = json.loads(item.value_json)
    return values


def _records(data: bytes) -> Iterator[Record]:
    """LevelDB's log format: blocks of 32768 bytes after a header of 7, records split at the ends of blocks."""
    position, record = 7, b""
    while position < len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        record += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or its last part
            yield Record.FromString(record)
            record = b""
