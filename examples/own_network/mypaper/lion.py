"""Lion (Chen et al. 2023): the sign of an interpolated momentum."""

import torch
from torch.optim import Optimizer


class Lion(Optimizer):
    """w -= lr * sign(beta1 m + (1 - beta1) g), then m = beta2 m + (1 - beta2) g."""

    def __init__(self, params, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.99)) -> None:
        if lr <= 0:
            raise ValueError(f"lr={lr} is out of range: use a positive number")
        super().__init__(params, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                momentum = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                weight.sub_(torch.lerp(weight.grad, momentum, beta1).sign(), alpha=group["lr"])
                momentum.lerp_(weight.grad, 1 - beta2)
        return loss
