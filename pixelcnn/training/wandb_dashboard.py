"""Pictures, tables and checkpoints in Weights & Biases."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import wandb
from pytorch_lightning.loggers import WandbLogger
from torch import Tensor

from pixelcnn import pictures
from pixelcnn.training.dashboard import Dashboard, against_images
from pixelcnn.training.validation_images import Validation
from pixelcnn.training.wandb_run import finish_run


class WandbDashboard(WandbLogger, Dashboard):
    """Lightning's logger of a W&B run that has been started.

    A metric has one x-axis in W&B: ``trainer/global_step``. Each row also has ``images``, which a panel's settings can
    select instead; ``minimised`` are also logged as ``by_images/NAME``, whose x-axis is ``images``.
    """

    def __init__(self, run: wandb.Run, minimised: Sequence[str], keeps_checkpoints: bool, **options: Any) -> None:
        super().__init__(experiment=run, **options)
        self._minimised = minimised
        self._keeps_checkpoints = keeps_checkpoints

    def define_metrics(self) -> None:
        """Define the x-axes and the summary of each metric. Call it once, before anything is logged."""
        run = self.experiment
        if not (run.offline or run.disabled):
            # W&B requests it at the first table or artifact, and would raise if its server does not answer then.
            run._public_api()
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        for name in self._minimised:  # tables of runs show the best value instead of the last
            run.define_metric(name, step_metric="trainer/global_step", step_sync=True, summary="min")
            run.define_metric(f"by_images/{name}", step_metric="images", step_sync=True, summary="min")

    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """As Lightning's, on rank 0 alone."""
        super().log_metrics({**metrics, **against_images(metrics, self._minimised)}, step)

    def show_picture(self, name: str, picture: Tensor, step: int, images: int) -> None:
        """A PNG of just these pixels, its caption naming the step."""
        image = wandb.Image(picture.permute(1, 2, 0).numpy(), caption=f"step {step}, {images} images")
        self.log_metrics({name: [image], "images": images}, step)

    def show_validation(self, validation: Validation, score_name: str, levels: int, images: int) -> None:
        """The table ``val/images``, and the same images as the pictures ``val/best`` and ``val/worst``, row by row."""
        shown: dict[str, Any] = {"images": images}
        with_labels = validation.all.labels is not None
        table = wandb.Table(columns=["rank", "index", *(["label"] if with_labels else []), score_name, "image"])
        for rank, few, pixels in validation.ranked:
            for place, image in enumerate(pictures.enlarged(pixels, levels)):
                label = [] if few.labels is None else [int(few.labels[place])]
                score, picture = float(few.scores[place]), wandb.Image(image.permute(1, 2, 0).numpy())
                table.add_data(f"{rank} {place + 1}", int(few.index[place]), *label, score, picture)
            grid = pictures.grid(pixels, levels).permute(1, 2, 0).numpy()
            caption = f"{score_name} {few.scores[0]:.3f} to {few.scores[-1]:.3f}, step {validation.step}"
            shown[f"val/{rank}"] = [wandb.Image(grid, caption=caption)]
        with self._staging():
            self.log_metrics({"val/images": table, **shown}, validation.step)

    def mark_preempting(self) -> None:
        """W&B shows the run as preempted, no longer as crashed."""
        self.experiment.mark_preempting()

    def keep_checkpoint(self, path: Path, step: int) -> None:
        """Add a version of the artifact ``model-RUN``, with the aliases "best" or "last" and ``step-STEP``.

        wandb does not copy the file: online it is uploaded before the run ends. An offline run gets a hard link in its
        folder, which takes no space and does not change when a resumed run replaces the checkpoint.
        """
        if not self._keeps_checkpoints:
            return
        run = self.experiment
        if run.offline:
            link = Path(run.dir).parent / "checkpoints" / path.name
            link.parent.mkdir(exist_ok=True)
            try:
                os.link(path, link)
            except OSError:  # the file system does not support it
                shutil.copyfile(path, link)
            path = link
        artifact = wandb.Artifact(f"model-{run.id}", type="model", metadata={"step": step})
        with self._staging():
            artifact.add_file(str(path), policy="immutable")
            run.log_artifact(artifact, aliases=[path.stem, f"step-{step}"])

    def finish(self, exit_code: int) -> None:
        """End the run in W&B."""
        finish_run(self.experiment, exit_code)

    @contextmanager
    def _staging(self) -> Iterator[None]:
        """Within it, files waiting to be uploaded, such as tables' pictures, go to the run's directory and stay there
        offline.

        By default wandb puts them into the home directory, unless its environment variable is set.
        """
        if wandb.env.DATA_DIR in os.environ:
            yield
            return
        os.environ[wandb.env.DATA_DIR] = str(Path(self.experiment.dir).parent)
        try:
            yield
        finally:
            del os.environ[wandb.env.DATA_DIR]
