"""Optimisers, learning-rate schedules and parameter groups: plain torch, usable without the rest of the package."""

from pixelcnn.optim.adam import Adam
from pixelcnn.optim.building import build_optimizer, build_schedule
from pixelcnn.optim.groups import parameter_groups
from pixelcnn.optim.matrices import hidden_matrices
from pixelcnn.optim.muon import Muon
from pixelcnn.optim.schedules import constant, cosine, exponential, linear, trapezoid

__all__ = [
    "Adam",
    "Muon",
    "build_optimizer",
    "build_schedule",
    "constant",
    "cosine",
    "exponential",
    "hidden_matrices",
    "linear",
    "parameter_groups",
    "trapezoid",
]
