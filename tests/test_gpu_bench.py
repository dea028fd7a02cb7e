"""``bench.gpu`` runs from end to end on a CPU without what a bare machine lacks, and its blocks fail alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.gpu.__main__ import Results, Supervisor
from bench.gpu.worker import LIMITS, Options
from tests.bare import without

ROOT = Path(__file__).parents[1]


def good(report, options):
    report.value("seven", 7)
    report.check("is good", True)


def raises(report, options):
    report.check("is good at first", True)
    raise RuntimeError("CUDA error: an illegal memory access")


def hangs(report, options):
    time.sleep(1000)


def is_late(report, options):
    report.value("its time is bounded", not report.has(1000))
    hangs(report, options)


def dies(report, options):
    os.kill(os.getpid(), signal.SIGKILL)


def test_blocks_fail_alone(tmp_path, capsys):
    names = [f"{__name__}:{block.__name__}" for block in (good, raises, hangs, dies, good)]
    results = Results(tmp_path / "gpu.json")
    Supervisor(names, Options(cpu=True, slowness=20), results, seconds=300).run()
    failed = [line.split(":", 1)[1].split(" (")[0] for line in capsys.readouterr().out.splitlines() if "FAIL" in line]
    assert failed == ["raises: runs", "hangs: ends in time", "dies: survives"]
    stored = json.loads((tmp_path / "gpu.json").read_text())
    assert stored["failed"] == [f"{__name__}:{name}" for name in failed]
    assert stored["blocks"][names[0]]["values"]["seven"] == 7
    assert stored["blocks"][names[1]]["checks"]["is good at first"]["passed"]
    assert "illegal memory access" in stored["blocks"][names[1]]["checks"]["runs"]["detail"]


def test_what_there_is_no_time_for_is_said(tmp_path, capsys):
    results = Results(tmp_path / "gpu.json")
    Supervisor(["capture", "profile"], Options(cpu=True), results, seconds=0).run()
    assert results.failed == ["capture: had time", "profile: had time"]


def test_a_block_that_the_minutes_end_keeps_what_it_said(tmp_path):
    results, name = Results(tmp_path / "gpu.json"), f"{__name__}:is_late"
    Supervisor([name], Options(cpu=True, slowness=10_000), results, seconds=20).run()
    assert results.failed == [f"{name}: had time"]
    stored = json.loads((tmp_path / "gpu.json").read_text())["blocks"][name]
    assert stored["values"] == {"its time is bounded": True}


@pytest.mark.slow
def test_all_of_it_runs_on_a_bare_machine(tmp_path):
    environment = without("hydra", "omegaconf", "wandb", "rich", "safetensors", folder=tmp_path)
    command = [sys.executable, "-m", "bench.gpu", "--cpu", "--output", str(tmp_path / "gpu.json")]
    outcome = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    blocks = json.loads((tmp_path / "gpu.json").read_text())["blocks"]
    assert list(blocks) == list(LIMITS) and all(block["checks"] or block["values"] for block in blocks.values())
