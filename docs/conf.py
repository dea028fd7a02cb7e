"""Sphinx: `make docs` builds these pages into docs/_build."""

import re
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

project = "pixelcnn"
copyright = "the pixelcnn authors, Apache License 2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "reference"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3  # links to a page's headings, as on GitHub
highlight_language = "none"  # commands
html_theme = "furo"
html_title = "pixelcnn"
default_role = "code"  # single backticks in docstrings
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False  # Lightning's are not written for this site
autodoc_default_options = {"members": True, "inherited-members": False, "show-inheritance": True}


def without_links_out_of_docs(app: Any, page: str, source: list[str]) -> None:
    """Links to files beside docs/ work on a checkout; the site has no such files and keeps their text alone."""
    source[0] = re.sub(r"\[([^\]]*)\]\(\.\./[^)]*\)", r"\1", source[0])


def setup(app: Any) -> None:
    """Sphinx's entry."""
    app.connect("source-read", without_links_out_of_docs)
