"""Pictures, tables and hyper-parameters in TensorBoard, which needs no account."""

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.logger import _convert_params, _flatten_dict, _sanitize_params
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor

from pixelcnn import pictures
from pixelcnn.durable import warning_when_full
from pixelcnn.errors import UserError
from pixelcnn.training.dashboard import Dashboard, against_images
from pixelcnn.training.validation_images import Validation

if find_spec("tensorboard") is None:
    raise UserError("logger=tensorboard is not installed: pip install -r requirements-tensorboard.txt.")
from torch.utils.tensorboard.summary import hparams


class TensorBoardDashboard(TensorBoardLogger, Dashboard):
    """Lightning's logger into ``run_dir/tensorboard/version_*``, a new one when a run is resumed.

    The x-axis is the step; ``minimised`` are also logged as ``by_images/NAME``, against the images seen.
    """

    def __init__(self, run_dir: Path, minimised: Sequence[str]) -> None:
        super().__init__(run_dir, name="tensorboard", default_hp_metric=False)
        self._minimised = minimised

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """As Lightning's."""
        with self._where_there_is_room():
            super().log_metrics(metrics, step)
            for name, value in against_images(metrics, self._minimised).items():
                self.experiment.add_scalar(name, value, int(metrics["images"]))

    @rank_zero_only
    def save(self) -> None:
        """As Lightning's."""
        with self._where_there_is_room():
            super().save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """As Lightning's."""
        with self._where_there_is_room():
            super().finalize(status)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Write ``params``, nested, to ``hparams.yaml`` and, flat, to the table of runs beside the minimised values."""
        super().log_hyperparams(params)
        flat = _sanitize_params(_flatten_dict(_convert_params(params)))
        for summary in hparams(flat, dict.fromkeys(self._minimised, 0.0)):  # names only: the values are in the curves
            self.experiment.file_writer.add_summary(summary)

    def show_picture(self, name: str, picture: Tensor, step: int, images: int) -> None:
        """A PNG of just these pixels."""
        with self._where_there_is_room():
            self.experiment.add_image(name, picture, step)

    def show_validation(self, validation: Validation, score_name: str, levels: int, images: int) -> None:
        """The pictures ``val/best`` and ``val/worst``, row by row, and the table ``val/images`` as text."""
        lines = [f"| rank | index | label | {score_name} |", "|---|---|---|---|"]
        for rank, few, pixels in validation.ranked:
            labels = [""] * len(few.index) if few.labels is None else few.labels.tolist()
            rows = zip(few.index.tolist(), labels, few.scores.tolist(), strict=True)
            lines += [f"| {rank} {k} | {i} | {label} | {score} |" for k, (i, label, score) in enumerate(rows, start=1)]
            with self._where_there_is_room():
                self.experiment.add_image(f"val/{rank}", pictures.grid(pixels, levels), validation.step)
        with self._where_there_is_room():
            self.experiment.add_text("val/images", "\n".join(lines), validation.step)

    def keep_checkpoint(self, path: Path, step: int) -> None:
        """Nothing: TensorBoard has no files."""

    @contextmanager
    def _where_there_is_room(self) -> Iterator[None]:
        with warning_when_full(Path(self.log_dir)):
            try:
                yield
            except (OSError, ValueError) as error:
                self._experiment = None  # the writer thread has ended: a new one starts another file
                if isinstance(error.__cause__, OSError):  # Lightning reports it as a wrong value
                    raise error.__cause__ from error
                raise
