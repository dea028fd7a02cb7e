"""Imports point one way; the mathematics imports no framework, and composing a configuration does not import torch."""

import subprocess
import sys
from pathlib import Path


def test_the_contracts_of_pyproject_hold():
    lint_imports = Path(sys.executable).parent / "lint-imports"
    outcome = subprocess.run([lint_imports, "--no-cache"], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout


def test_the_configuration_does_not_wait_for_torch():
    code = "import sys, run; print([name for name in ('torch', 'pytorch_lightning') if name in sys.modules])"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert outcome.stdout.strip() == "[]"
