"""Muon: momentum whose matrices are orthogonalised before each step; Adam for the other parameters."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adam import adam
from torch.optim.optimizer import ParamsT

from pixelcnn.optim.ranges import require, require_betas, require_learning_rate, require_not_negative

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
SMALLEST_NORM = 1e-7


def orthogonalised(matrices: Tensor, steps: int = 5) -> Tensor:
    """Matrices (B, m, n) with their singular vectors kept and their singular values brought close to 1.

    The quintic Newton-Schulz iteration X <- a X + (b A + c A^2) X, A = X X^T, from X / ||X||_F, with the coefficients
    of Jordan et al. 2024, which rise steeply at 0 and do not converge: after five steps, singular values that were
    above a hundredth of the norm lie between 0.68 and 1.14, smaller ones below 1.21. A matrix of zeros stays one.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices  # the smaller Gram matrix
    x = x / torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True).clamp_min(SMALLEST_NORM)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


@dataclass(frozen=True)
class _Options:
    """A group's options, under the names of Muon's arguments."""

    lr: float
    momentum: float
    ns_steps: int
    adam_lr: float
    adam_betas: tuple[float, float]
    adam_eps: float
    weight_decay: float

    def __post_init__(self) -> None:
        require_learning_rate("lr", self.lr)
        require(0 <= self.momentum < 1, "momentum", self.momentum, "from 0 to below 1")
        require(self.ns_steps >= 1, "ns_steps", self.ns_steps, "at least one iteration")
        require_learning_rate("adam_lr", self.adam_lr)
        require_betas("adam_betas", self.adam_betas)
        require_not_negative("adam_eps", self.adam_eps)
        require_not_negative("weight_decay", self.weight_decay)

    def of_matrices(self) -> dict[str, Any]:
        return {"lr": self.lr, "momentum": self.momentum, "ns_steps": self.ns_steps, "weight_decay": self.weight_decay}

    def of_others(self) -> dict[str, Any]:
        # With fused, load_state_dict puts the step count where fused Adam needs it.
        adam = {"betas": tuple(self.adam_betas), "eps": self.adam_eps, "fused": True}
        return {"lr": self.adam_lr, **adam, "weight_decay": self.weight_decay}


@dataclass(frozen=True)
class _Matrix:
    """A parameter with a gradient, its update as a matrix (out, rest) to be orthogonalised, and its group."""

    parameter: Tensor
    update: Tensor
    group: dict[str, Any]

    def subtract(self, direction: Tensor) -> None:
        """Take the step along ``direction``, the orthogonalised update."""
        axis, lr = self.group["out_dim"], self.group["lr"]
        if self.group["weight_decay"]:
            self.parameter.mul_(1 - lr * self.group["weight_decay"])
        moved = self.parameter.movedim(axis, 0)
        scale = 0.2 * max(direction.shape) ** 0.5
        moved.sub_(direction.view(moved.shape).to(moved.dtype), alpha=lr * scale)


class Muon(Optimizer):
    """Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) for matrices, Adam for all other parameters.

    A convolution's weight is the matrix (out, in * rows * columns). Its update is the Nesterov momentum of its
    gradient, orthogonalised and multiplied by ``0.2 * sqrt(max(out, in * rows * columns))``, which gives it the root
    mean square of a typical step of Adam (Liu et al. 2025, "Muon is scalable for LLM training", arXiv 2502.16982), so
    that one learning rate suits matrices of any size. On convolutional networks: arXiv 2510.19376.

    params: parameters, named parameters, or groups of either. ``matrices``: the names of the parameters to
    orthogonalise, each with its output channel's axis (`pixelcnn.optim.hidden_matrices`); needs named parameters.
    None: all parameters with two or more axes, of which the first is the output. ``lr``, ``momentum`` and ``ns_steps``
    (Newton-Schulz) apply to the matrices, ``adam_lr``, ``adam_betas`` and ``adam_eps`` to the others, ``weight_decay``
    (decoupled) to both. Groups take the same names. ValueError for arguments out of range.

    Under ``torch.distributed`` (``sharded``) each rank orthogonalises its part of the matrices of each shape, and all
    ranks end with the same weights. Their gradients must be the same, as under DistributedDataParallel. The iteration
    is in bfloat16 on GPUs and in the parameters' own type on CPUs. ``param_groups`` has the matrices and the others of
    each given group separately, matrices first (``out_dim`` is None for the others).
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.01,
        momentum: float = 0.95,
        ns_steps: int = 5,
        adam_lr: float = 0.003,
        adam_betas: tuple[float, float] = (0.9, 0.99),
        adam_eps: float = 1e-8,
        weight_decay: float = 0.0,
        matrices: Mapping[str, int] | None = None,
        sharded: bool = True,
    ) -> None:
        self._options = _Options(lr, momentum, ns_steps, adam_lr, adam_betas, adam_eps, weight_decay)
        self._matrices, self._sharded = matrices, sharded
        super().__init__(params, asdict(self._options))
        found = {name for group in self.param_groups for name in group.get("param_names", ())}
        missing = sorted(set(matrices or ()) - found)
        if missing:
            raise ValueError(f"matrices={missing} are not among the parameters' names: pass named parameters.")

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, as one for its matrices of each output axis and one for its other parameters."""
        params = param_group["params"]
        options = replace(self._options, **{key: value for key, value in param_group.items() if key != "params"})
        apart: dict[int | None, list[Any]] = defaultdict(list)
        for entry in [params] if isinstance(params, Tensor) else params:
            name, parameter = entry if isinstance(entry, tuple) else (None, entry)
            if self._matrices is not None:
                apart[self._matrices.get(name)].append(entry)
            else:
                apart[0 if parameter.ndim >= 2 else None].append(entry)
        for axis in sorted(apart, key=lambda axis: (axis is None, axis)):
            own = options.of_others() if axis is None else options.of_matrices()
            super().add_param_group({"params": apart[axis], "out_dim": axis, **own})
            for key in self.defaults.keys() - own.keys():  # torch adds what is missing
                del self.param_groups[-1][key]

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step for all parameters that have a gradient; returns what ``closure``, if given, does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        alike: dict[Any, list[_Matrix]] = defaultdict(list)
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            gradients = [p.grad for p in parameters if p.grad is not None]
            if not parameters:
                continue
            if group["out_dim"] is None:
                self._adam(parameters, gradients, group)
                continue
            for matrix in self._with_momentum(parameters, gradients, group):
                update = matrix.update
                alike[update.shape, update.dtype, update.device, group["ns_steps"]].append(matrix)
        for same in alike.values():
            for matrix, direction in zip(same, self._directions(same), strict=True):
                matrix.subtract(direction)
        return loss

    def _with_momentum(self, parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> list[_Matrix]:
        """Update the momentum; the parameters with g + momentum * (g + momentum * ...), each as a matrix."""
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {"momentum_buffer": torch.zeros_like(parameter)}
        buffers = [self.state[parameter]["momentum_buffer"] for parameter in parameters]
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, gradients)
        updates = torch._foreach_add(gradients, buffers, alpha=group["momentum"])
        return [
            _Matrix(parameter, update.movedim(group["out_dim"], 0).flatten(1), group)
            for parameter, update in zip(parameters, updates, strict=True)
        ]

    def _directions(self, same: list[_Matrix]) -> Tensor:
        """The orthogonalised updates of matrices of one shape, (B, m, n)."""
        updates, steps = [matrix.update for matrix in same], same[0].group["ns_steps"]
        dtype = torch.bfloat16 if updates[0].is_cuda else updates[0].dtype
        ranks = dist.get_world_size() if self._sharded and dist.is_available() and dist.is_initialized() else 1
        if ranks == 1:
            return orthogonalised(torch.stack(updates).to(dtype), steps)
        share = -(-len(updates) // ranks)
        first = share * dist.get_rank()
        part = torch.zeros(share, *updates[0].shape, dtype=dtype, device=updates[0].device)
        own = updates[first : first + share]
        if own:
            part[: len(own)] = orthogonalised(torch.stack(own).to(dtype), steps)
        gathered = part.new_empty(ranks * share, *part.shape[1:])
        dist.all_gather_into_tensor(gathered, part)
        return gathered[: len(updates)]

    def _adam(self, parameters: list[Tensor], gradients: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                step = torch.zeros((), dtype=torch.float32, device=parameter.device)
                zero = torch.zeros_like(parameter)
                self.state[parameter] = {"step": step, "exp_avg": zero, "exp_avg_sq": zero.clone()}
        states = [self.state[parameter] for parameter in parameters]
        first, second, steps = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
        beta1, beta2 = group["betas"]
        adam(
            parameters,
            gradients,
            first,
            second,
            [],
            steps,
            fused=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
            decoupled_weight_decay=True,
        )
