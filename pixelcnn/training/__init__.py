"""Training a model with Lightning."""

import logging
import warnings

import pytorch_lightning  # noqa: F401  its import sets the levels of its loggers

# Silences its hardware notices and advertisements.
for name in ("pytorch_lightning", "lightning_fabric"):
    logging.getLogger(name).setLevel(logging.WARNING)

# Lightning 2.6's own deprecation warning, at each step.
warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", module="pytorch_lightning")
# The gradient of a 1x1 convolution may have any stride along its axes of length 1: the memory is the same.
warnings.filterwarnings("ignore", r"Grad strides do not match bucket view strides", module="torch.autograd")
# A resumed run has checkpoints already.
warnings.filterwarnings("ignore", r"Checkpoint directory .* exists and is not empty")
# On clusters; pixelcnn.launch.slurm reports it if a run needs srun.
warnings.filterwarnings("ignore", r"The `srun` command is available on your system but is not used")
# Muon's; its new name, all_gather_single, is not in torch 2.9.
warnings.filterwarnings("ignore", r"`torch\.distributed\.all_gather_into_tensor` is deprecated")
