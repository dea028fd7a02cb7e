"""Adam in one pass over memory, or by the original's formula, which differs where gradients are tiny."""

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from pixelcnn.optim.ranges import require_betas, require_learning_rate, require_not_negative


class Adam(torch.optim.Adam):
    """Adam (Kingma and Ba 2015), with the betas of the PixelCNN++ paper as defaults.

    lr: step size, positive. betas: decay rates of the two moments. eps: added to the root of the second moment.
    weight_decay: L2 penalty, added to the gradient (AdamW's is decoupled). ValueError for values out of range.

    With ``epsilon_inside_root`` a step is the original TensorFlow code's, w -= lr * m_hat / sqrt(v_hat + eps); Kingma
    and Ba, and torch, have eps outside the root. The two differ for gradients below 1e-4, which are rare with a summed
    loss. Either resumes from the other's state.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.95, 0.9995),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        epsilon_inside_root: bool = False,
    ) -> None:
        require_learning_rate("lr", lr)
        require_betas("betas", betas)
        require_not_negative("eps", eps)
        require_not_negative("weight_decay", weight_decay)
        fused = None if epsilon_inside_root else True
        super().__init__(params, lr=lr, betas=(betas[0], betas[1]), eps=eps, weight_decay=weight_decay, fused=fused)
        # Otherwise Lightning assumes that the optimiser unscales float16 gradients itself, and refuses to clip them.
        self._step_supports_amp_scaling = False
        self.epsilon_inside_root = epsilon_inside_root

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step for all parameters that have a gradient; returns what ``closure``, if given, does."""
        if not self.epsilon_inside_root:
            return super().step(closure)
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
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
        torch._foreach_lerp_(first, gradients, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, gradients, gradients, 1 - beta2)
        roots = torch._foreach_div(second, 1 - beta2**step)
        torch._foreach_add_(roots, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_addcdiv_(parameters, first, roots, -group["lr"] / (1 - beta1**step))
