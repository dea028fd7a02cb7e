"""Training a model with Lightning."""

import warnings

# Lightning 2.6 speaks to itself here, on each step.
warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", module="pytorch_lightning")
