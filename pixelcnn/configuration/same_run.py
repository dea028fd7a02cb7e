"""What a resumed run must keep: its images, and every option that is not listed here as changeable."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from pixelcnn.errors import UserError

# Groups and keys that may change: where a run is, its speed, its length and its logging.
CHANGEABLE = (
    *("task", "checkpoint", "init_from", "trust", "logger", "callbacks"),
    "initialisation",  # is over
    *("model", "likelihood", "conditioning"),  # are the checkpoint's
    *("data.root", "data.train", "data.test", "data.converted", "data.num_workers"),  # the images are compared instead
    *("trainer.accelerator", "trainer.strategy", "trainer.devices", "trainer.num_nodes", "trainer.plugins"),
    *("trainer.precision", "trainer.deterministic", "trainer.benchmark", "trainer.inference_mode"),
    *("trainer.max_epochs", "trainer.min_epochs", "trainer.max_steps", "trainer.min_steps", "trainer.max_time"),
    *("trainer.val_check_interval", "trainer.check_val_every_n_epoch", "trainer.num_sanity_val_steps"),
    *("trainer.limit_test_batches", "trainer.limit_predict_batches", "trainer.reload_dataloaders_every_n_epochs"),
    *("trainer.logger", "trainer.log_every_n_steps", "trainer.callbacks", "trainer.enable_checkpointing"),
    *("trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.enable_autolog_hparams"),
    *("trainer.profiler", "trainer.detect_anomaly", "trainer.barebones", "trainer.fast_dev_run"),
    *("trainer.default_root_dir", "trainer.model_registry", "trainer.sync_batchnorm"),
)
# Keys that determine the held-out images.
HELD_OUT = ("data._target_", "data.val_size", "data.seed")
RESUME = "give that one, or start a new run from its weights with init_from="
PARTS = {"train": "training images", "val": "held-out images"}


def require_same_run(
    stored: Mapping[str, Any],
    images: Mapping[str, str],
    config: DictConfig,
    only: Iterable[str] | None = None,
    remedy: str = RESUME,
) -> None:
    """Raise UserError if ``config`` or the ``images`` differ from those of the checkpoint's run.

    ``stored`` is the checkpoint's entry "pixelcnn"; ``images`` are the fingerprints to compare, by part. Keys that the
    stored configuration lacks (that of an imported model or an earlier version) are not compared. Data keys with text
    values, such as a folder, may differ if the checkpoint has a fingerprint of the images, which decides instead.
    ``only``: the keys to compare; None: all that are not changeable.
    """
    before = dict(_leaves(stored["config"]))
    now = dict(_leaves(OmegaConf.to_container(config, resolve=True)))
    known = stored.get("data") or {}
    # Keys at the root first, since others may follow from them.
    for key, asked in sorted(now.items(), key=lambda item: item[0].count(".")):
        compared = not _is_changeable(key) if only is None else key in only
        decided_by_images = known and key.startswith("data.") and isinstance(asked, str)
        if compared and not decided_by_images and key in before and before[key] != asked:
            option = key.removesuffix("._target_")
            raise UserError(
                f"{option}={_shown(asked)} disagrees with checkpoint={config.checkpoint}, whose run has "
                f"{option}={_shown(before[key])}: {remedy}."
            )
    for part, found in images.items():
        if str(known.get(part, found)) != found:
            changed = [f"{key}={_shown(asked)}" for key, asked in now.items() if _names_images(key, asked, before)]
            raise UserError(
                f"{' '.join(changed) or 'data'} has other {PARTS[part]} than the run of checkpoint="
                f"{config.checkpoint}, {found} instead of {known[part]}: {remedy}."
            )


def _is_changeable(key: str) -> bool:
    return any(key == one or key.startswith(f"{one}.") for one in CHANGEABLE)


def _names_images(key: str, asked: Any, before: Mapping[str, Any]) -> bool:
    return key.startswith("data.") and key != "data.num_workers" and before.get(key) != asked


def _leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(value, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, node


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
