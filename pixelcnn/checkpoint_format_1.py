"""Models in checkpoints of format 1, whose parts have names instead of targets."""

from collections.abc import Mapping
from typing import Any

TARGETS = {
    "model": {
        "pixelcnn_pp": "pixelcnn.network.PixelCNNPP",
        "gated_pixelcnn": "pixelcnn.network.GatedPixelCNN",
        "pixelcnn": "pixelcnn.network.PixelCNN",
    },
    "likelihood": {
        "discretized_logistic_mixture": "pixelcnn.likelihood.DiscretizedLogisticMixture",
        "categorical": "pixelcnn.likelihood.Categorical",
        "logistic_mixture": "pixelcnn.likelihood.LogisticMixture",
        "implicit": "pixelcnn.likelihood.Implicit",
    },
    "conditioning": {
        "none": "pixelcnn.conditioning.Unconditional",
        "class": "pixelcnn.conditioning.ClassLabels",
        "vector": "pixelcnn.conditioning.Vectors",
        "spatial": "pixelcnn.conditioning.Maps",
        "encoder": "pixelcnn.conditioning.Encoder",
    },
}
ROLES = {"model": "network"}  # where a part's name has changed


def description_of_format_2(stored: Mapping[str, Any]) -> dict[str, Any]:
    """``stored``, of format 1, as `ModelDescription.from_dict` takes it; KeyError if it names an unknown part."""
    parts = {}
    for group, targets in TARGETS.items():
        arguments = dict(stored[group])
        parts[ROLES.get(group, group)] = {"_target_": targets[arguments.pop("name")], **arguments}
    return {"image": dict(stored["image"]), **parts}
