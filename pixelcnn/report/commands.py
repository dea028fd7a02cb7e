"""Command lines for what people do next with a run."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

# What Hydra takes for one word; anything else is quoted for it.
PLAIN = re.compile(r"[\w/.:@%+-]+", re.ASCII)


def again(overrides: Sequence[str]) -> str:
    """The same run once more. ``overrides`` are Hydra's for the task, as typed."""
    return _command(*overrides)


def resumed(overrides: Sequence[str], run_dir: Path) -> str:
    """The training run of ``run_dir``, with these overrides, gone on with in its directory."""
    kept = [override for override in overrides if _key(override) not in ("checkpoint", "init_from", "sweep")]
    return _command(*kept, f"hydra.run.dir={_value(run_dir)}", "checkpoint=last")


def evaluated(overrides: Sequence[str], checkpoint: Path, precision: str | None) -> str:
    """``task=evaluate`` of a checkpoint on the data of a training run.

    ``precision`` is the training run's: evaluation takes only full precision and has to be told where an experiment
    set another.
    """
    kept = [override for override in overrides if _key(override).split(".")[0] in ("data", "experiment", "seed")]
    full = [] if precision in (None, "32", "32-true") else ["trainer.precision=32-true"]
    return _command("task=evaluate", *kept, *full, f"checkpoint={_value(checkpoint)}")


def sampled(checkpoint: Path, needs_condition: bool) -> str:
    """``task=sample`` from a checkpoint; what a model has to be told before it draws is left to fill in."""
    condition = ["task.condition=FILE:ROW"] if needs_condition else []
    return _command("task=sample", f"checkpoint={_value(checkpoint)}", "task.num_samples=64", *condition)


def _command(*overrides: str) -> str:
    return shlex.join(["python", "run.py", *overrides])


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
