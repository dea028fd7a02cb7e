"""Sphinx: `make docs` builds these pages into docs/_build/html."""

import os
import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
os.environ["PYTHONPATH"] = str(HERE.parent)  # of the kernel that runs the notebooks

# Where the files of the repository are on the web, such as https://github.com/OWNER/pixelcnn/blob/main.
REPOSITORY = os.environ.get("DOCS_REPOSITORY", "")

project = "pixelcnn"
copyright = "the pixelcnn authors, Apache License 2.0"
extensions = ["myst_nb", "sphinx.ext.autodoc", "mathml", "reference"]
html_math_renderer = "mathml"
exclude_patterns = ["_build", "*.py"]  # only notebooks/ has pages in Python
nb_custom_formats = {".py": ["jupytext.reads", {"fmt": "py:percent"}]}
nb_execution_mode = "cache"  # run again only where a notebook has changed
nb_execution_timeout = 600
nb_merge_streams = True
nb_execution_raise_on_error = True
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3  # links to a page's headings, as on GitHub
highlight_language = "none"  # commands
linkcheck_anchors = False  # GitHub makes its anchors by script
html_theme = "furo"
html_title = "pixelcnn"
default_role = "code"  # single backticks in docstrings
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # Lightning's are not written for this site
autodoc_default_options = {"members": True, "inherited-members": False, "show-inheritance": True}


def links_out_of_docs(app: Any, page: str, source: list[str]) -> None:
    """Have links to files beside docs/ lead to `REPOSITORY`; without one, keep their text alone.

    On a checkout they lead to the files themselves, of which the site has no copies.
    """
    out = re.escape("../" * (1 + page.count("/")))
    instead = rf"[\1]({REPOSITORY.rstrip('/')}/\2)" if REPOSITORY else r"\1"
    source[0] = re.sub(rf"\[([^\]]*)\]\({out}([^)]*)\)", instead, source[0])


def setup(app: Any) -> None:
    """Sphinx's entry."""
    app.connect("source-read", links_out_of_docs)
