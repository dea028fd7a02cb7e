"""A full disk takes lines from ``run.log``, not the run's voice."""

import logging
import resource

from pixelcnn.launch.run_log import RunLog


def test_a_full_disk_is_no_matter_for_the_log(tmp_path, capsys):
    log = logging.Logger("run")
    log.addHandler(RunLog(tmp_path / "run.log"))
    log.warning("before")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (7, before[1]))
    try:
        log.warning("while it is full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log.warning("%d", "no number")
    told = capsys.readouterr().err
    assert told.count("Traceback") == 1 and "no number" in told  # which is a bug and no matter of disks
    assert (tmp_path / "run.log").read_text().startswith("before\n")
