"""Adam under the names of its two formulas."""

from functools import partial

from pixelcnn.optim.adam import Adam as FusedAdam

OriginalAdam = partial(FusedAdam, epsilon_inside_root=True)
