"""The breaks of ``make mutate`` fit the code as it is."""

import ast
from pathlib import Path

import pytest

from tests.breaks import BREAKS, Break

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("each", BREAKS, ids=lambda each: each.what)
def test_a_break_changes_one_line_of_code_that_still_compiles(each: Break):
    code = (ROOT / each.file).read_text()
    assert code.count(each.line) == 1
    assert "\n" not in each.line + each.broken
    broken = code.replace(each.line, each.broken)
    assert ast.dump(ast.parse(broken)) != ast.dump(ast.parse(code))
    assert each.near and all((ROOT / name).is_file() for name in each.near)


def test_there_are_many_and_no_two_are_the_same():
    assert len(BREAKS) >= 25
    assert len({each.what for each in BREAKS}) == len(BREAKS)
    assert len({(each.file, each.line, each.broken) for each in BREAKS}) == len(BREAKS)
