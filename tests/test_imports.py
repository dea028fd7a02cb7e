"""Imports point one way; the mathematics imports no framework, and composing a configuration does not import torch."""

import subprocess
import sys


def test_the_contracts_of_pyproject_hold():
    outcome = subprocess.run(["lint-imports", "--no-cache"], capture_output=True, text=True)
    assert outcome.returncode == 0, outcome.stdout


def test_the_configuration_does_not_wait_for_torch():
    code = "import sys, pixelcnn.configuration.store, run; print([m for m in ('torch', 'pytorch_lightning') if m in sys.modules])"
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert outcome.stdout.strip() == "[]"
