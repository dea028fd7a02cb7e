"""Locates a model: a path, a released model's name, or a repository on the Hugging Face hub."""

import logging
from pathlib import Path

from pixelcnn.errors import UserError

# Installed, the models are in the package; in a checkout, beside it.
HOMES = (Path(__file__).parent / "released", Path(__file__).parents[1] / "released")
HUB = "hf:/"  # of hf://owner/name, also where pathlib has joined the two slashes
WEIGHTS, CONFIG = "model.safetensors", "config.yaml"  # of an exported model


def released() -> dict[str, Path]:
    """The released models' folders by name, as in ``pixelcnn.load("cifar10_small")``."""
    found = (folder.parent for home in HOMES for folder in sorted(home.glob("*/model.safetensors")))
    return {folder.name: folder for folder in found}


def located(path: str | Path) -> Path:
    """The path of a model on this machine: ``path`` itself, a released model's folder, or the cache of hf://owner/name.

    An existing file takes precedence over a name; ``released/NAME`` works from any directory. UserError if a repository
    cannot be loaded.
    """
    if str(path).startswith(HUB):
        return _from_hub(str(path).removeprefix(HUB).strip("/"))
    path = Path(path)
    # Path.exists raises if a name is too long, which no released model's is.
    if len(path.name) < 100 and path.parent in (Path("."), Path("released")) and not path.exists():
        return released().get(path.name, path)
    return path


def _from_hub(repository: str) -> Path:
    hub = _hub(f"checkpoint=hf://{repository}")
    try:
        return Path(hub.snapshot_download(repository, allow_patterns=[WEIGHTS, CONFIG]))
    except (OSError, ValueError, hub.errors.HTTPError) as error:  # of httpx, whose errors are not all OSErrors
        raise UserError(
            f"checkpoint=hf://{repository} cannot be loaded ({_first_line(error)}): check name and network."
        ) from error


def push(folder: Path, repository: str) -> None:
    """Upload the exported model in ``folder`` to ``repository``, owner/name on the Hugging Face hub, created if needed.

    UserError without a network or an account's token, or if the hub refuses it.
    """
    hub = _hub(f"task.push={repository}")
    try:
        hub.create_repo(repository, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=[WEIGHTS, CONFIG])
    except (OSError, ValueError, hub.errors.HTTPError) as error:
        raise UserError(
            f"task.push={repository} failed ({_first_line(error)}): check the network, or log in with `hf auth login`. "
            f"The model is in {folder}."
        ) from error


def _hub(key: str):  # type: ignore[no-untyped-def]
    try:
        import huggingface_hub
    except ImportError as error:
        remedy = "pip install -r requirements-huggingface.txt, or pip install 'pixelcnn[huggingface]'"
        raise UserError(f"{key} needs huggingface_hub: {remedy}.") from error
    for name in ("httpx", "httpx2"):  # they announce every request
        logging.getLogger(name).setLevel(logging.WARNING)
    return huggingface_hub


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
