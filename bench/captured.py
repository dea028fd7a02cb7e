"""The forward and backward pass of training as one CUDA graph."""

from collections.abc import Callable

import torch
from torch import Tensor

from pixelcnn.model import PixelModel

Gradient = Callable[[], Tensor]  # leaves the gradient in the weights; the loss, summed over the batch, in nats

WARM_UP = 3  # steps, in which libraries choose and allocate


def gradient_of(model: PixelModel, images: Tensor, dtype: torch.dtype) -> Gradient:
    """A function that computes the gradient for the content of ``images``, uint8 (N, C, H, W), under autocast."""

    def gradient() -> Tensor:
        with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
            loss = -model(images).sum()
        loss.backward()
        return loss.detach()

    return gradient


def captured_gradient(model: PixelModel, images: Tensor, dtype: torch.dtype) -> Gradient:
    """`gradient_of`, captured once on the model's GPU and replayed. Dropout draws new masks each time."""
    gradient = gradient_of(model, images, dtype)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(WARM_UP):
            model.zero_grad(set_to_none=True)
            gradient()
    torch.cuda.current_stream().wait_stream(aside)
    model.zero_grad(set_to_none=True)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = gradient()
    gradients = {weight: weight.grad for weight in model.parameters()}

    def replayed() -> Tensor:
        for weight, place in gradients.items():  # a step's end drops them
            weight.grad = place
        graph.replay()
        return loss

    return replayed
