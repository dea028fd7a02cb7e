"""A callback and a logger."""

from pathlib import Path

import torch
from pytorch_lightning import Callback
from pytorch_lightning.loggers import Logger


class WeightNorms(Callback):
    """Logs the norm of all weights every so many steps. pixelcnn passes ``run_dir``."""

    def __init__(self, run_dir: Path, every_n_steps: int = 10) -> None:
        if every_n_steps < 1:
            raise ValueError(f"every_n_steps={every_n_steps} is out of range: use 1 or more")
        self.file, self.every_n_steps = run_dir / "norms.txt", every_n_steps

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step % self.every_n_steps == 0 and trainer.is_global_zero:
            norm = torch.stack([weight.detach().norm() for weight in pl_module.parameters()]).norm()
            with self.file.open("a") as file:
                file.write(f"{trainer.global_step} {float(norm)}\n")


class Lines(Logger):
    """A logger that writes a line for each call. pixelcnn passes ``save_dir``."""

    def __init__(self, save_dir: Path, file: str = "lines.txt") -> None:
        super().__init__()
        self.file = Path(save_dir) / file

    @property
    def name(self) -> str:
        return "lines"

    @property
    def version(self) -> int:
        return 0

    def log_hyperparams(self, params, *args, **kwargs) -> None:
        pass

    def log_metrics(self, metrics, step=None) -> None:
        with self.file.open("a") as file:
            file.write(f"{step} {sorted(metrics)}\n")
