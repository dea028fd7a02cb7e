"""The directory of a run, known to every rank."""

from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from pixelcnn.launch.ranks import is_first

DIRECTORY = "hydra.run.dir"


def directory_of_run(output_dir: Path, arguments: Sequence[str], config: DictConfig) -> Path:
    """Rank 0's run directory, on any rank: ``output_dir``, or the typed one if that is a rank's temporary directory.

    ``arguments`` are the command line after `pixelcnn.launch.ranks.directory_of_its_own`. If no directory was typed,
    rank 0 makes a new, empty one, and ``output_dir`` serves as well.
    """
    of_rank = f"{DIRECTORY}={output_dir}"
    if is_first() or of_rank not in arguments:
        return output_dir
    before = arguments[: list(arguments).index(of_rank)]
    typed = [argument for argument in before if argument.startswith(f"{DIRECTORY}=")]
    if not typed:
        return output_dir
    value = OverridesParser.create().parse_override(typed[-1]).value()
    with_directory = OmegaConf.create({**OmegaConf.to_container(config), "directory": value})  # type: ignore[dict-item]
    return Path(with_directory.directory)
