"""Conditions of compressed images: stored in the archive, or passed again to decompress."""

import numpy as np
import torch
from torch import Tensor

from pixelcnn.compression.coding import Decoder, Encoder
from pixelcnn.compression.header import FEATURES, GIVEN, LABELS, MAPS, NONE
from pixelcnn.errors import UserError
from pixelcnn.model import PixelModel


def kind_of(model: PixelModel, condition: Tensor | None, store: bool) -> int:
    """How an archive stores ``condition``: class labels as labels, everything else as the features computed from it."""
    if condition is None or model.conditioning.features == 0:
        return NONE
    if not store:
        return GIVEN
    if model.conditioning.batch_key == "labels" and not condition.is_floating_point():
        return LABELS
    return MAPS if model.conditioning.batch_key == "maps" else FEATURES


@torch.no_grad()
def features_of(model: PixelModel, condition: Tensor | None, images: Tensor) -> Tensor | None:
    """h of ``images`` (N, C, H, W), on the model's device. UserError if it contains NaN or inf."""
    device = next(model.parameters()).device
    h = model.condition_features(condition.to(device) if isinstance(condition, Tensor) else condition, images)
    if h is not None and not h.isfinite().all():
        raise UserError("condition contains NaN or inf: fix it.")
    return h


def stored(kind: int, h: Tensor | None, condition: Tensor | None, encoder: Encoder, classes: int) -> bytes:
    """The bytes of the conditions outside the stream. Labels are encoded into the stream instead."""
    if kind == LABELS:
        assert condition is not None
        encoder.labels(condition.cpu().numpy(), classes)
    if kind not in (FEATURES, MAPS):
        return b""
    assert h is not None
    return h.to(_stored_dtype(h.dtype)).cpu().numpy().tobytes()


def bytes_each(kind: int, model: PixelModel, height: int, width: int) -> int:
    """Bytes per image of the conditions outside the stream."""
    size = _stored_dtype(next(model.parameters()).dtype).itemsize * model.conditioning.features
    return {FEATURES: size, MAPS: size * height * width}.get(kind, 0)


def restored(
    kind: int, content: bytes, decoder: Decoder, given: Tensor | None, model: PixelModel, images: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """Restore h, and the labels if they are stored, for each of ``images``, whose shape alone is used."""
    n, (height, width), weight = len(images), images.shape[2:], next(model.parameters())
    features = model.conditioning.features
    if kind == LABELS:
        labels = torch.from_numpy(decoder.labels(n, features))
        return features_of(model, labels, images), labels
    if kind in (FEATURES, MAPS):
        dtype = np.float64 if weight.dtype == torch.float64 else np.float32
        values = torch.from_numpy(np.frombuffer(content, dtype).copy())
        shape = (n, features, height, width) if kind == MAPS else (n, features)
        return values.view(shape).to(weight), None
    return features_of(model, given, images), None


def _stored_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32
