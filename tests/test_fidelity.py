"""The documentation of fidelity names tests that exist, one for every row."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "fidelity.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("|") and not re.match(r"\| the original|\|-", line)]


def test_every_row_names_a_test():
    assert len(ROWS) > 20
    assert [row for row in ROWS if not re.search(r"`tests/[\w/]+\.py::test_\w+` *(\||,)", row)] == []


def test_every_test_that_is_named_exists():
    for path, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE):
        functions = {
            node.name for node in ast.parse((ROOT / path).read_text()).body if isinstance(node, ast.FunctionDef)
        }
        assert name in functions, f"{path} has no {name}"
