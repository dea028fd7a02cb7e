"""Breaks of optimisers, parameter groups and schedules."""

from tests.breaks.one import Break, of_file

OPTIM: list[Break] = [
    *of_file(
        "optim/adam.py",
        "optim/test_adam.py original/test_trajectory.py training/test_module.py",
        (
            "Adam's second moment is not corrected for its start",
            "roots = torch._foreach_div(second, 1 - beta2**step)",
            "roots = torch._foreach_div(second, 1)",
        ),
        (
            "gradients are refused to be clipped",
            "self._step_supports_amp_scaling = False",
            "self._step_supports_amp_scaling = True",
        ),
    ),
    *of_file(
        "optim/memory.py",
        "optim/test_muon.py training/test_memory_order.py",
        ("moments keep the order in memory of the checkpoint", "value.stride() != parameter.stride()", "False"),
    ),
    *of_file(
        "optim/groups.py",
        "optim/test_groups.py",
        ("a tied parameter is in two groups", "if id(parameter) not in seen:", "if True:"),
        ("a pattern that matches nothing is passed over", 'elif not group.get("optional", False):', "elif False:"),
    ),
    *of_file(
        "optim/building.py",
        "optim/test_building.py",
        ("a misspelt option of a group is stored and ignored", "if not options.keys() <= known.keys():", "if False:"),
    ),
    *of_file(
        "optim/matrices.py",
        "optim/test_matrices.py",
        ("a transposed convolution's output is taken for its input", "= layer.out_dim", "= 0"),
        ("the layers at the image are orthogonalised", "return first | {", "return {"),
    ),
    *of_file(
        "optim/muon.py",
        "optim/test_muon.py",
        (
            "the momentum is not Nesterov's",
            "torch._foreach_add(gradients, buffers, ",
            "torch._foreach_add(buffers, buffers, ",
        ),
        ("steps ignore the matrices' size", "0.2 * max(direction.shape) ** 0.5", "0.2"),
        ("all ranks orthogonalise the same part", "share * dist.get_rank()", "0"),
        ("the output channel is not put first", 'update.movedim(group["out_dim"], 0)', "update"),
        ("weight decay is left out", "self.parameter.mul_(1 - lr * ", "self.parameter.mul_(1 - 0 * "),
    ),
    *of_file(
        "optim/schedules.py",
        "optim/test_schedules.py",
        ("the paper's decay begins a step late", "decay ** (step + 1)", "decay**step"),
        ("the warm-up begins at zero", "(step + 1) / warmup", "step / warmup"),
        ("a decay begins before the warm-up's end", "(step - start) / length", "step / length"),
    ),
]
