"""The files under a folder, each once despite links."""

import os
from collections.abc import Callable
from pathlib import Path


def files_under(folder: Path, wanted: Callable[[str], bool]) -> tuple[dict[str, str], int]:
    """The files in ``folder`` and its sub-folders whose names are ``wanted``: a mapping from real paths to paths.

    Links to files and folders are followed; hidden folders and files are skipped. A file reached in several ways counts
    once, preferably without a link; the second value is the number of links left out.
    """
    found: dict[str, str] = {}
    linked_files: list[str] = []
    linked_folders: list[str] = []
    seen: set[str] = set()
    left_out = 0
    todo = [str(folder)]
    while todo or linked_folders:
        if not todo:  # links last, in the order of their paths
            linked_folders.sort(reverse=True)
            todo.append(linked_folders.pop())
        place = todo.pop()
        real = os.path.realpath(place)
        if real in seen:
            left_out += 1
            continue
        seen.add(real)
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir():
                    (linked_folders if entry.is_symlink() else todo).append(entry.path)
                elif wanted(entry.name) and entry.is_symlink():
                    linked_files.append(entry.path)
                elif wanted(entry.name):
                    found[os.path.join(real, entry.name)] = entry.path
    for path in sorted(linked_files):
        kept = found.setdefault(os.path.realpath(path), path)
        left_out += kept != path
    return found, left_out
