"""Images with far fewer values than levels, such as only 0 and 1 of 256."""

import numpy as np

from pixelcnn.data.arrays import Arrays
from pixelcnn.data.base import ImageDataModule
from pixelcnn.data.codes import Codes

LOOKED_AT = 200  # images at once: a sample first, then all
PER_VALUE = 8  # levels


def few_levels(data: ImageDataModule) -> str | None:
    """A warning if training images use few of their levels, which a model would have to learn; else None.

    ``data`` is set up. Codes are exempt: their values are names.
    """
    if isinstance(data, Codes):
        return None
    arrays, levels = data.arrays("train"), data.shape.levels
    images = arrays.images
    some = slice(None, None, max(1, len(images) // LOOKED_AT))
    stored = np.zeros(0, images.dtype)
    for looked_at in (some, *(slice(start, start + LOOKED_AT) for start in range(0, len(images), LOOKED_AT))):
        stored = np.union1d(stored, images[looked_at])
        values = np.unique(arrays.reduced(stored))
        if len(values) * PER_VALUE > levels:
            return None
    count = int(values[-1]) + 1
    numbered = count * PER_VALUE <= levels  # 0, 1, … with few left out
    if not numbered:
        count = len(values)
    shown = ", ".join(map(str, values[:4])) + (f" … {values[-1]}" if len(values) > 4 else "")
    # For data=arrays, data.levels describes the files; all other images are reduced to it.
    told_apart = np.unique(stored.astype(int) * count // (arrays.stored_levels or levels)).tolist()
    if numbered if isinstance(data, Arrays) else told_apart == list(range(count)):
        remedy = f"set data.levels={count}"
    else:
        remedy = f"store them as 0 to {count - 1} in .npz files and use data=arrays data.levels={count}"
    return f"The training images contain only the values {shown} but are modelled with {levels} levels: {remedy}."
