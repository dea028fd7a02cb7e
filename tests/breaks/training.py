"""Breaks of training, and of what it leaves."""

from tests.breaks.one import Break, of_file

TRAINING: list[Break] = [
    *of_file(
        "training/ema.py",
        "training/test_ema.py training/test_nonfinite.py",
        ("the average takes its decay for the new weights' share", "1 - self.decay_after(", "self.decay_after("),
        ("validation uses the raw weights", "super().on_validation_epoch_start(trainer, pl_module)", "pass"),
        ("skipped steps move the average", "not pl_module.skipped_last_step and ", ""),
        ("what is saved while validating has the weights swapped", "if self.swapped:", "if False:"),
    ),
    *of_file(
        "training/module.py",
        "training/test_module.py training/test_nonfinite.py objective/test_objective.py",
        ("the learning rate decays in skipped steps", "if not self.skipped_last_step:", "if True:"),
        ("a step that is not finite is taken", "optimizer.zero_grad(set_to_none=True)", "pass"),
        (
            "dropout ignores the seed",
            "(self.seed, self._batches_done, self.global_rank)",
            "(0, self._batches_done, self.global_rank)",
        ),
        (
            "dropout is the same on all devices",
            "(self.seed, self._batches_done, self.global_rank)",
            "(self.seed, self._batches_done)",
        ),
        ("the loss is the mean over the batch", "batch, noise_seed=None).sum()", "batch, noise_seed=None).mean()"),
        (
            "gradients are averaged over accumulated batches",
            "(self.trainer.world_size * self.trainer.accumulate_grad_batches)",
            "self.trainer.world_size",
        ),
        (
            "gradients are averaged over devices",
            "(self.trainer.world_size * self.trainer.accumulate_grad_batches)",
            "self.trainer.accumulate_grad_batches",
        ),
        ("validation draws new noise", "batch, noise_seed=self.seed)", "batch, noise_seed=None)"),
    ),
    *of_file(
        "training/nonfinite.py",
        "training/test_nonfinite.py",
        (
            "an infinite loss with a finite gradient counts",
            "torch.where(loss.detach().isfinite(), 1.0, math.nan)",
            "1.0",
        ),
    ),
    *of_file(
        "training/agreement.py",
        "training/test_agreement.py",
        ("a signal has to reach all ranks", "dist.ReduceOp.MAX", "dist.ReduceOp.MIN"),
    ),
    *of_file(
        "training/metrics.py",
        "training/test_metrics.py",
        (
            "devices' losses are averaged, not added",
            'dtype=torch.float64), dist_reduce_fx="sum"',
            'dtype=torch.float64), dist_reduce_fx="mean"',
        ),
    ),
    *of_file(
        "training/checkpoints.py",
        "training/test_checkpoints.py",
        ("the best checkpoint is the worst", "not score < before", "score < before"),
        ("a run resumes from its oldest checkpoint", "sorted(progress, reverse=True)", "sorted(progress)"),
    ),
    *of_file(
        "training/lightning_internals.py",
        "training/test_stopping.py training/test_leaving.py training/test_resume.py",
        (
            "a run that left while validating does not validate again",
            'state_dict.get("validation_due", False)',
            "False",
        ),
        (
            "a run validates between accumulated batches",
            "if self._should_accumulate():",
            "if False:",
        ),
        (
            "a finished run that is resumed validates its first batch alone",
            "self.epoch_loop.val_loop.restarting = False",
            "pass",
        ),
    ),
    *of_file(
        "training/samples.py",
        "training/test_samples.py",
        (
            "samples of a run ignore its seed",
            "on_device(condition, module.device), module.seed",
            "on_device(condition, module.device), 0",
        ),
    ),
    *of_file(
        "training/validation_images.py",
        "training/test_validation_images.py",
        ("the worst images are the best", "every.at(order[::-1][: self.num_kept])", "every.at(order[: self.num_kept])"),
    ),
    *of_file(
        "training/history.py",
        "training/test_history.py",
        ("a report's best score is the highest", "value < self.best[1]", "value > self.best[1]"),
    ),
    *of_file(
        "report/comparison.py",
        "report/test_comparison.py",
        ("a comparison does not rank its runs", "ranked = sorted(runs, key=_rank)", "ranked = list(runs)"),
        ("curves against cost are against steps", "points = [(step * each, value)", "points = [(step, value)"),
        ("a comparison sorts numbers as text", "return Cell(str(value), float(value))", "return str(value)"),
    ),
]
