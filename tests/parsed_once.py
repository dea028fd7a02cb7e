"""The options in ``conf/`` and the interpolations in them, parsed once by each process of the tests.

Hundreds of tests compose them, and a third of the time in which Hydra composes goes into parsing the same text again.
"""

import copy
import os
from functools import cache
from pathlib import Path

import omegaconf._utils
import omegaconf.base
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.plugins.config_source import ConfigResult
from omegaconf.grammar_parser import parse

read = FileConfigSource.load_config


def parse_once() -> None:
    """Have OmegaConf and Hydra remember what they have parsed."""
    omegaconf._utils.parse = omegaconf.base.parse = cache(parse)  # type: ignore[attr-defined]
    seen: dict[tuple[str, int, int], ConfigResult] = {}

    def load_config(self: FileConfigSource, config_path: str) -> ConfigResult:
        path = Path(self.path, config_path if config_path.endswith(".yaml") else f"{config_path}.yaml")
        try:
            file = os.stat(path)
        except OSError:
            return read(self, config_path)
        key = f"{path}", file.st_mtime_ns, file.st_size
        if key not in seen:
            seen[key] = read(self, config_path)
        return copy.deepcopy(seen[key])  # Hydra changes what it is given

    FileConfigSource.load_config = load_config  # type: ignore[method-assign]
