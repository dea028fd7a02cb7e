"""Conditions of compressed images: stored in the archive, or passed again to decompress."""

from collections.abc import Iterator, Mapping
from typing import cast

import numpy as np
import torch
from torch import Tensor

from pixelcnn.compression.coding import Decoder, Encoder
from pixelcnn.compression.header import CODES, FEATURES, FEATURES_OF_SEVERAL, GIVEN, LABELS, MAPS, NONE, SEVERAL
from pixelcnn.conditioning import CoarseCodes, Condition
from pixelcnn.conditioning.condition import on_device
from pixelcnn.conditioning.several import MAPPED, joined, kinds_of
from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel

INTEGERS = {"labels": LABELS, "coarse": CODES}  # go into the stream as integers; names as in a batch
SIDES = 2**16  # of a map of codes, at most


def kind_of(model: PixelModel, condition: Condition, store: bool) -> int:
    """How an archive stores ``condition``: integers as such, everything else as the features computed from it."""
    if condition is None or model.conditioning.features == 0:
        return NONE
    if not store:
        return GIVEN
    if isinstance(condition, Mapping):
        integers = all(not condition[key].is_floating_point() for key in condition if key in INTEGERS)
        return SEVERAL if integers else FEATURES_OF_SEVERAL
    (key,) = kinds_of(model.conditioning)
    return INTEGERS[key] if key in INTEGERS and not condition.is_floating_point() else _as_features(key)


@torch.no_grad()
def features_of(model: PixelModel, condition: Condition, images: Tensor) -> Tensor | None:
    """h of ``images`` (N, C, H, W), on the model's device. UserError if it contains NaN or inf."""
    device = next(model.parameters()).device
    each = condition.values() if isinstance(condition, Mapping) else [condition]
    of_tensors = all(isinstance(one, Tensor) for one in each)  # the model refuses everything else
    h = model.condition_features(on_device(condition, device) if of_tensors else condition, images)
    if h is not None and not h.isfinite().all():
        raise UserError("condition contains NaN or inf: fix it.")
    return h


def stored(kind: int, h: Tensor | None, condition: Condition, encoder: Encoder, model: PixelModel) -> bytes:
    """The bytes of the conditions outside the stream. Integers are encoded into the stream instead."""
    content = b""
    for key, how, features in _each(kind, model, h):
        if how in INTEGERS.values():
            known = cast(Tensor, condition[key] if isinstance(condition, Mapping) else condition).cpu().numpy()
            if how == CODES:
                encoder.labels(np.array(known.shape[1:]) - 1, SIDES)
            encoder.labels(known.flatten(), _count(model, key))
        elif how in (FEATURES, MAPS):
            assert features is not None
            content += features.to(_stored_dtype(features.dtype)).cpu().numpy().tobytes()
    return content


def integers(kind: int, decoder: Decoder, n: int, model: PixelModel) -> dict[str, Tensor]:
    """Decode the integers among the conditions of n images, by their names in a batch."""
    found = {}
    for key, how, _ in _each(kind, model):
        if how in INTEGERS.values():
            size = decoder.labels(2, SIDES) + 1 if how == CODES else ()
            count = n * int(np.prod(size))
            found[key] = torch.from_numpy(decoder.labels(count, _count(model, key))).view(n, *map(int, size))
    return found


def bytes_each(kind: int, model: PixelModel, height: int, width: int) -> int:
    """Bytes per image of the conditions outside the stream."""
    size = _stored_dtype(next(model.parameters()).dtype).itemsize
    pixels = {FEATURES: 1, MAPS: height * width}
    kinds = kinds_of(model.conditioning)
    return sum(size * kinds[key].features * pixels.get(how, 0) for key, how, _ in _each(kind, model))


def restored(
    kind: int, content: bytes, decoder: Decoder, given: Condition, model: PixelModel, images: Tensor
) -> tuple[Tensor | None, dict[str, Tensor]]:
    """Restore h, and the integers among the stored conditions, for each of ``images``, whose shape alone is used."""
    n, (height, width), weight = len(images), images.shape[2:], next(model.parameters())
    if kind in (NONE, GIVEN):
        return features_of(model, given, images), {}
    known, dtype = integers(kind, decoder, n, model), np.float64 if weight.dtype == torch.float64 else np.float32
    values, kinds, features = torch.from_numpy(np.frombuffer(content, dtype).copy()), kinds_of(model.conditioning), []
    for key, how, _ in _each(kind, model):
        if key in known:
            h = kinds[key].encode(known[key].to(weight.device), n, height, width)
        else:
            shape = (n, kinds[key].features, height, width)[: 4 if how == MAPS else 2]
            h, values = values[: int(np.prod(shape))].view(shape), values[int(np.prod(shape)) :]
        features.append(cast(Tensor, h).to(weight))
    return joined(features, height, width), known


def _each(kind: int, model: PixelModel, h: Tensor | None = None) -> Iterator[tuple[str, int, Tensor | None]]:
    """For each condition: its name in a batch, how it is stored, and its part of the features ``h``."""
    kinds = kinds_of(model.conditioning)
    parts = [None] * len(kinds) if h is None else h.split([one.features for one in kinds.values()], dim=1)
    for key, part in zip(kinds, parts, strict=True):
        of_several = {SEVERAL: INTEGERS.get(key, _as_features(key)), FEATURES_OF_SEVERAL: _as_features(key)}
        how = of_several.get(kind, kind)
        is_vector = part is not None and part.ndim == 4 and how == FEATURES
        yield key, how, part[:, :, 0, 0] if part is not None and is_vector else part


def _as_features(key: str) -> int:
    return MAPS if key in MAPPED else FEATURES


def _count(model: PixelModel, key: str) -> int:
    """How many values the integers of a condition can have."""
    kind = kinds_of(model.conditioning)[key]
    return kind.num_codes if isinstance(kind, CoarseCodes) else model.num_classes or kind.features


def _stored_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
