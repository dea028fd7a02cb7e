"""The sweep of Weights & Biases in ``docs/``."""

import yaml

from pixelcnn.cli import CONF
from pixelcnn.configuration.checks import check
from tests.training.tiny import tiny_module

SWEEP = yaml.safe_load((CONF.parent / "docs/wandb-sweep.yaml").read_text())


def test_it_is_composed_with_its_lowest_and_highest_values(composed):
    """Its metric is logged by every run of PixelCNN++."""
    parameters = SWEEP["parameters"]
    fixed = [part for part in SWEEP["command"] if "=" in part]
    ends = ((each.get("min", each.get("values", [None])[0]), each.get("max", each.get("values", [None])[-1]))
            for each in parameters.values())  # fmt: skip
    for values in zip(*ends, strict=True):
        swept = [f"{key}={value}" for key, value in zip(parameters, values, strict=True)]
        check(composed(*fixed, *swept))
    assert (CONF.parent / SWEEP["program"]).is_file() and SWEEP["command"][-1] == "${args_no_hyphens}"
    assert SWEEP["metric"] == {"name": f"val/{tiny_module().score_name}", "goal": "minimize"}
