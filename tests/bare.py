"""A machine that lacks some packages."""

import os
from pathlib import Path


def without(*packages: str, folder: Path) -> dict[str, str]:
    """An environment whose Python cannot import ``packages``; ``folder`` holds what replaces them."""
    for package in packages:
        message = f'raise ModuleNotFoundError("No module named {package!r}", name={package!r})\n'
        (folder / f"{package}.py").write_text(message)
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
