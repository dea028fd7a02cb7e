"""Adam in one pass over memory, and the original's, which differs from torch's where gradients are tiny."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam


class FusedAdam(Adam):
    """torch's fused Adam; gradients come to it unscaled and clipped, as they do to any other."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options, fused=True)
        # Else Lightning takes it to unscale float16's gradients itself, and refuses to clip any.
        self._step_supports_amp_scaling = False


class OriginalAdam(Adam):
    """w -= lr * m_hat / sqrt(v_hat + 1e-8): epsilon inside the root, where Kingma and Ba (and torch) have it outside.

    The two part ways for parameters whose gradients are below 1e-4, of which a summed loss has few. The state is that
    of torch's Adam, so that checkpoints can be resumed with either.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step for all parameters that have a gradient; returns what ``closure``, if given, does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            for parameter in parameters:
                if not self.state[parameter]:
                    zero = torch.zeros_like(parameter)
                    self.state[parameter] = {"step": torch.tensor(0.0), "exp_avg": zero, "exp_avg_sq": zero.clone()}
            if parameters:
                self._update(parameters, [p.grad for p in parameters], group)
        return loss

    def _update(self, parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        states = [self.state[parameter] for parameter in parameters]
        first, second = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq"))
        torch._foreach_add_([state["step"] for state in states], 1)
        step = int(states[0]["step"])
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        roots = torch._foreach_div(second, 1 - beta2**step)
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(parameters, first, roots, -group["lr"] / (1 - beta1**step))
