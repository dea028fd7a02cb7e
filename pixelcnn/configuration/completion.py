"""Tab completion that Hydra lacks: a user's own --config-dir, and keys that no file in ``conf/`` sets.

It must not import torch, which takes seconds.
"""

import ast
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from hydra._internal.utils import get_args_parser

from pixelcnn.configuration.groups import register

QUERY = "query="  # after -sc, by which a shell asks how to complete COMP_LINE


def asked_by_shell(arguments: Sequence[str]) -> bool:
    """Whether a shell asks how to complete a command line."""
    return any(argument.startswith(QUERY) for argument in arguments)


def prepared(arguments: Sequence[str]) -> list[str]:
    """``arguments`` with the --config-dir typed in COMP_LINE; afterwards all keys of ``trainer`` are known."""
    register({"trainer": trainer_keys()})
    typed, _ = get_args_parser().parse_known_args(os.environ.get("COMP_LINE", "").split())
    there = typed.config_dir is not None and os.path.isdir(typed.config_dir)
    return [*arguments, *(["--config-dir", typed.config_dir] if there else [])]


def trainer_keys() -> list[str]:
    """The arguments of Lightning's Trainer, read in its source."""
    spec = find_spec("pytorch_lightning")
    assert spec is not None and spec.origin is not None
    tree = ast.parse((Path(spec.origin).parent / "trainer" / "trainer.py").read_text())
    [trainer] = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Trainer"]
    [constructor] = [node for node in trainer.body if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    return [argument.arg for argument in (*constructor.args.args[1:], *constructor.args.kwonlyargs)]
