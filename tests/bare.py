"""A machine that lacks some packages."""

import os
from pathlib import Path


def without(*packages: str, folder: Path) -> dict[str, str]:
    """An environment whose Python cannot import ``packages``; ``folder`` holds what replaces them."""
    for package in packages:
        message = f'raise ModuleNotFoundError("No module named {package!r}", name={package!r})\n'
        (folder / f"{package}.py").write_text(message)
        installed = folder / f"{package}-0.dist-info"  # by whose version Lightning decides
        installed.mkdir()
        (installed / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 0\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
