"""Start and end of a W&B run, both with a timeout; nothing in between needs a network.

Anything not uploaded stays in the run's folder, for ``wandb sync``.
"""

import logging
import shutil
import threading
from pathlib import Path
from typing import Any

import wandb
from wandb.sdk.lib.wbauth import read_netrc_auth

log = logging.getLogger(__name__)

SECONDS_TO_START = 10  # wandb tries twice
SECONDS_TO_FINISH = 120  # for checkpoints to be uploaded; the environment variable WANDB_FINISH_TIMEOUT overrides it
# For a run that fails or is interrupted and has little to upload; everything logged is on disk after 15 s.
SECONDS_TO_BREAK_OFF = 20


def start_run(**options: Any) -> wandb.Run | None:
    """Start a run online, else offline, printing why and how to upload it; None if neither works."""
    mode = wandb.setup().settings.mode
    offline_because = "WANDB_MODE asks for it" if mode == "offline" else None
    if mode not in ("offline", "disabled"):
        offline_because = why_not_logged_in()
    try:
        if offline_because is None:
            try:
                return _start_online(**options)
            except wandb.Error as error:
                offline_because = f"a run could not be started there ({_first_line(error)})"
        run = wandb.init(mode="offline", **options)
    except (wandb.Error, OSError) as error:
        log.warning("Weights & Biases cannot be used (%s): the run is not logged.", _first_line(error))
        return None
    told = f"Weights & Biases is offline: {offline_because}. The run is kept; to upload it later:"
    print(f"{told}\n    {sync_command(run)}", flush=True)
    return run


def _start_online(**options: Any) -> wandb.Run:
    folders = Path(options["dir"]) / "wandb"
    before = set(folders.glob("run-*"))
    settings = wandb.Settings(init_timeout=SECONDS_TO_START)
    try:
        return wandb.init(settings=settings, resume="allow", **options)
    except wandb.Error:
        for folder in set(folders.glob("run-*")) - before:  # left by the run that did not start
            shutil.rmtree(folder)
        raise


def finish_run(run: wandb.Run, exit_code: int) -> None:
    """Upload the rest for a limited time; a warning says how to upload what is left then."""
    limit = run.settings.finish_timeout or SECONDS_TO_FINISH
    seconds = limit if exit_code == 0 else min(limit, SECONDS_TO_BREAK_OFF)
    failures: list[Exception] = []

    def finish() -> None:
        try:
            run.finish(exit_code=exit_code)
        except Exception as error:
            failures.append(error)

    # wandb's own limit has no effect while an artifact is being uploaded.
    thread = threading.Thread(target=finish, name="finish wandb", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        failures.insert(0, TimeoutError(f"not done after {seconds:g} s, see WANDB_FINISH_TIMEOUT"))
        _end_service()
        thread.join(SECONDS_TO_BREAK_OFF)
    if not failures:
        return
    try:
        wandb.teardown()  # otherwise there is a traceback when Python exits
    except Exception as error:
        log.debug("wandb.teardown: %s", error)
    why = f"{type(failures[0]).__name__}: {_first_line(failures[0])}"
    log.warning("Weights & Biases may lack some of this run (%s). To upload it:\n    %s", why, sync_command(run))


def sync_command(run: wandb.Run) -> str:
    """The command that uploads the run's folder."""
    return f"wandb sync {'' if run.offline else '--include-online '}{Path(run.dir).parent}"


def _end_service() -> None:
    """Kill wandb-core, which keeps retrying its server, unless another process started it."""
    process = wandb.setup().assert_service()._proc
    if process is not None:
        process._process.kill()


def why_not_logged_in() -> str | None:
    """Why there is no usable key for Weights & Biases on this machine, checked offline; None if there is one."""
    settings = wandb.setup().settings
    try:
        key = settings.api_key or settings.identity_token_file or read_netrc_auth(host=settings.base_url)
    except wandb.Error as error:
        return str(error)
    return None if key else "you are not logged in (wandb login)"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0]
