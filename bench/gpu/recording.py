"""A stand-in for CUDA graphs on a CPU."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITS_FOR_THE_DEVICE = {
    "aten._local_scalar_dense",
    "aten.nonzero",
    "aten.is_nonzero",
    "aten.equal",
    "aten.masked_select",
}


class Recording(TorchDispatchMode):
    """What a CUDA graph records of some work: operations and the addresses of their operands, but no control flow."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        assert str(function).rsplit(".", 1)[0] not in WAITS_FOR_THE_DEVICE, f"{function} waits for the device"
        result = function(*args, **(kwargs or {}))
        self.calls.append((function, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        """Run the operations again, on the current contents of their operands."""
        for function, args, kwargs, results in self.calls:
            for result, place in zip(tree_leaves(function(*args, **kwargs)), tree_leaves(results), strict=True):
                if isinstance(result, Tensor) and result.data_ptr() != place.data_ptr():
                    place.copy_(result)


def recorded(work: Callable[[], None]) -> Callable[[], None]:
    """Return a function that replays ``work``, like those of `pixelcnn.sampling.capture.cuda_graphs`."""
    work()
    with Recording() as recording:
        work()
    return torch.inference_mode()(recording.replay)
