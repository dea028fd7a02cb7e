"""Progress in one line: redrawn on a terminal, elsewhere printed from time to time."""

import time
from collections.abc import Mapping
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from pytorch_lightning.trainer.states import TrainerFn
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.table import Column
from rich.text import Text

from pixelcnn.report.words import duration
from pixelcnn.scores import as_label

SECONDS_BETWEEN_LINES = 30
SECONDS_OF_RATE = 600  # over which the rate is averaged, including validations and samples


class _Said(ProgressColumn):
    """The text of a line, after its bar."""

    def render(self, task: Task) -> Text:
        return Text(said(task))


def said(task: Task) -> str:
    """Scores, rate and remaining time of ``task``, as far as known."""
    rate = task.finished_speed or task.speed
    images = [] if rate is None else [f"{rate * task.fields['images']:,.1f} images/s"]
    seconds = None if task.finished else task.time_remaining
    return ", ".join([*task.fields["scores"], *images, *([] if seconds is None else [f"{duration(seconds)} left"])])


class Line(Progress):
    """A bar with scores, rate and remaining time, redrawn on a terminal; elsewhere `show` prints them."""

    def __init__(self, description: str, total: int | None, images: float = 1.0, completed: int = 0) -> None:
        """``total`` counts units such as steps, batches or pixels, each worth ``images`` images."""
        console = Console()
        super().__init__(
            *("{task.description}", BarColumn(bar_width=None), _Said(Column(no_wrap=True))),
            console=console,
            disable=not console.is_terminal,
            expand=True,
            speed_estimate_period=SECONDS_OF_RATE,
        )
        self.add_task(description, total=total, completed=completed, images=images, scores=[])
        self._shown = time.monotonic()

    def show(self, where: str | None = None, now: bool = True) -> None:
        """Print it if there is no terminal, after ``where`` or its description: ``now``, or every half minute."""
        if self.disable and (now or time.monotonic() - self._shown > SECONDS_BETWEEN_LINES):
            self._shown = time.monotonic()
            [task] = self.tasks
            print(f"{where or task.description}: {said(task)}", flush=True)

    def advanced(self) -> None:
        """One more step is done."""
        self.advance(self.task_ids[0])
        self.show(now=False)


class RunProgress(ProgressBar):
    """The line of a training run, with the rate and the remaining time of the whole of it, or of an evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self.line: Line | None = None
        self._scores: list[str] = []

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        done = trained(trainer)
        self._start(trainer, place(trainer, done)[0], batches_of(trainer), done)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        self._update(trainer, read=every > 0 and trainer.global_step % every == 0)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            self._start(trainer, "validation", int(sum(trainer.num_val_batches)))

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start(trainer, "test", int(sum(trainer.num_test_batches)))

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int, *_: int
    ) -> None:
        if self.line is None:
            return
        if trainer.state.fn != TrainerFn.FITTING:
            self.line.advanced()
        elif not trainer.sanity_checking:
            told = f"validation {batch_idx + 1}/{int(sum(trainer.num_val_batches))}"
            self.line.update(self.line.task_ids[0], description=told)

    def on_test_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self.line is not None:
            self.line.advanced()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._update(trainer, read=True, show=True)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.stop()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.stop()

    def stop(self) -> None:
        """Keep the line; further output is below it."""
        if self.line is not None:
            self.line.stop()
            self.line = None

    def _start(self, trainer: Trainer, description: str, total: int | None, completed: int = 0) -> None:
        if self._enabled:
            self.line = Line(description, total, trainer.datamodule.batch_size, completed)  # type: ignore[attr-defined]
            self.line.start()

    def _update(self, trainer: Trainer, read: bool, show: bool = False) -> None:
        if self.line is None:
            return
        if read:  # not at every step: reading a score synchronises the GPU
            name = trainer.lightning_module.score_name
            logged = trainer.callback_metrics
            splits = [f"{split}/{name}" for split in ("train", "val")]
            self._scores = scores_in({split: float(logged[split]) for split in splits if split in logged})
        line, done = self.line, trained(trainer)
        short, long = place(trainer, done)
        line.update(line.task_ids[0], completed=done, description=short, scores=self._scores)
        line.show(long, now=show)


def trained(trainer: Trainer) -> int:
    """Batches that the run has trained on, including those before interruptions."""
    return trainer.fit_loop.epoch_loop.batch_progress.total.processed  # type: ignore[attr-defined]


def batches_of(trainer: Trainer) -> int | None:
    """All batches that the run will train on; None if only its time is limited."""
    of_epochs, of_steps = _limits(trainer)
    return min((limit for limit in (of_epochs, of_steps) if limit is not None), default=None)


def _limits(trainer: Trainer) -> tuple[int | None, int | None]:
    """The batches of ``max_epochs`` and of ``max_steps``."""
    epochs, steps = trainer.max_epochs, trainer.max_steps
    batches = trainer.num_training_batches
    return (
        None if epochs is None or epochs < 0 else int(epochs * batches),
        None if steps < 0 else steps * trainer.accumulate_grad_batches,
    )


def place(trainer: Trainer, done: int) -> tuple[str, str]:
    """The epoch or step after ``done`` batches, counted from one; and both."""
    of_epochs, of_steps = _limits(trainer)
    current = max(1, -(-done // int(trainer.num_training_batches)))
    epoch = f"epoch {current}" + ("" if of_epochs is None else f"/{trainer.max_epochs}")
    step = f"step {trainer.global_step}" + ("" if of_steps is None else f"/{trainer.max_steps}")
    by_steps = of_steps is not None and (of_epochs is None or of_steps < of_epochs)
    return (step if by_steps else epoch), f"{epoch}, {step}"


def scores_in(metrics: Mapping[str, float]) -> list[str]:
    """The metrics of a progress bar as text, with the splits of a score together."""
    found: dict[str, list[str]] = {}
    for key, value in sorted(metrics.items()):
        split, _, name = key.rpartition("/")
        found.setdefault(as_label(name), []).append(f"{split} {value:.3f}".strip())
    return [f"{' '.join(values)} {name}" for name, values in found.items()]
