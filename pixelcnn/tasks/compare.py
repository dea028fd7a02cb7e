"""``task=compare``: runs side by side on one page."""

import logging
import os
from pathlib import Path

from omegaconf import DictConfig

from pixelcnn.errors import UserError
from pixelcnn.launch.sweep_results import compare, directories_in, keys_apart

log = logging.getLogger(__name__)


def run(config: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Write ``comparison.html`` about all training runs in and below the directories ``task.runs``."""
    directories: list[Path] = []
    for folder in map(Path, config.task.runs):
        found = [each for each in directories_in(folder.resolve()) if (each / "history.json").exists()]
        if not found:
            raise UserError(f"task.runs={folder} contains no training run: give run directories, or folders of them.")
        directories += [each for each in found if each not in directories]
    shared = Path(os.path.commonpath(directories))
    root = shared.parent if shared in directories else shared
    page = run_dir / "comparison.html"
    best = compare(root, directories, keys_apart(directories), page)
    if best is not None:
        log.info("%s", best)
    log.info("Comparison of %d runs: %s", len(directories), page)
