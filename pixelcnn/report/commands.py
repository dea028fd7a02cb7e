"""Command lines for what people do next with a run."""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# What Hydra reads as one word; anything else needs quotes.
PLAIN = re.compile(r"[\w/.:@%+-]+", re.ASCII)


# How a process was started, by the end of its sys.argv[0].
STARTED: dict[tuple[str, ...], list[str]] = {
    ("bin", "pixelcnn"): ["pixelcnn"],
    ("pixelcnn", "__main__.py"): ["python", "-m", "pixelcnn"],
}


def started() -> list[str]:
    """The command that this process was started by, without its arguments."""
    return STARTED.get(Path(sys.argv[0]).parts[-2:], ["python", "run.py"])


def again(overrides: Sequence[str]) -> str:
    """The command that repeats a run. ``overrides`` are Hydra's for the task, as typed."""
    return _command(*overrides)


def resumed(overrides: Sequence[str], run_dir: Path) -> str:
    """The command that resumes the training run of ``run_dir``, with these overrides."""
    kept = [override for override in overrides if _key(override) not in ("checkpoint", "init_from", "sweep")]
    return _command(*kept, f"hydra.run.dir={_value(run_dir)}", "checkpoint=last")


def evaluated(overrides: Sequence[str], checkpoint: Path, config: Mapping[str, Any]) -> str:
    """``task=evaluate`` of a checkpoint on the data of the training run of ``config``.

    Evaluation needs full precision, so the command sets it if the run had another.
    """
    precision = config["trainer"]["precision"]
    kept = [override for override in overrides if _key(override).split(".")[0] in ("data", "experiment", "seed")]
    full = [] if precision in (None, "32", "32-true") else ["trainer.precision=32-true"]
    return _command("task=evaluate", *kept, *full, f"checkpoint={_value(checkpoint)}", *_trust(config))


def sampled(checkpoint: Path, needs_condition: bool, config: Mapping[str, Any]) -> str:
    """``task=sample`` from a checkpoint of the run of ``config``; a required condition is left to fill in."""
    condition = ["task.condition=FILE:ROW"] if needs_condition else []
    checkpoint_and_trust = [f"checkpoint={_value(checkpoint)}", *_trust(config)]
    return _command("task=sample", *checkpoint_and_trust, "task.num_samples=64", *condition)


def config_dir(arguments: Sequence[str]) -> str | None:
    """Hydra's ``--config-dir``, if any."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, folder = argument.partition("=")
        if name in ("--config-dir", "-cd"):
            return folder if equals else following
    return None


def _command(*overrides: str) -> str:
    """A command started like this process: from a checkout or as an installed program, with its ``--config-dir``."""
    folder = config_dir(sys.argv)
    return shlex.join([*started(), *([] if folder is None else ["--config-dir", folder]), *overrides])


def _trust(config: Mapping[str, Any]) -> list[str]:
    """The ``trust`` override for a checkpoint whose model has parts from outside the project."""
    conditioning = config["conditioning"]
    conditionings = [conditioning] if "_target_" in conditioning else conditioning.values()
    targets = [part["_target_"] for part in (config["model"], config["likelihood"], *conditionings)]
    packages = dict.fromkeys(target.partition(".")[0] for target in targets)
    outside = [package for package in packages if package not in ("pixelcnn", "torch")]
    return [f"trust=[{','.join(outside)}]"] if outside else []


def _key(override: str) -> str:
    return re.split("[=@]", override)[0].lstrip("+~")


def _value(path: Path) -> str:
    """``path`` in Hydra's grammar of values."""
    text = str(path)
    if PLAIN.fullmatch(text):
        return text
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)  # a quote and the backslashes before it
    trailing = len(escaped) - len(escaped.rstrip("\\"))
    return f"'{escaped}{escaped[len(escaped) - trailing :]}'"
