"""One run, one process: how every executor makes a run once it is that run's turn."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from repro import files
from repro.tools.executors import bound

# The exit status of a run whose directory another process holds: sysexits' "try again later".
HELD = os.EX_TEMPFAIL
END_OF_LOG = 2**16  # bytes that are looked at for its last line


def log_of(folder: Path) -> Path:
    """Return the file of a run's directory for what the run says.

    Raises:
      RuntimeError: it is a symbolic link, through which it would be written elsewhere.
      ValueError: it is no file, such as a pipe.
    """
    log = folder / "log.txt"
    if log.is_symlink():
        raise RuntimeError(f"{log} is a symbolic link: remove it")
    files.check(log)
    return log


def last_words(log: Path) -> str:
    """Return the last line of a log that says something, without `error: `; "" where there is none.

    However long the log is, no more is read than its end.
    """
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - END_OF_LOG))
        lines = file.read(END_OF_LOG).decode(errors="replace").split("\n")
    said = [line for line in lines if line.strip()]
    return said[-1].removeprefix("error: ") if said else ""


def run(
    command: Sequence[str],
    folder: str | os.PathLike,
    cpus: int,
    *,
    gpus: int | None = None,
    cwd: str | None = None,
    parent_gone: int = signal.SIGKILL,
    began: Callable[[subprocess.Popen], None] | None = None,
) -> int:
    """Make a run in a process that does not outlive this one, and return its exit status.

    What it says goes to log.txt in its directory. A run that is complete is not started.

    Args:
      command: of the run; the first word gives way to the Python of this machine.
      folder: the run's directory.
      cpus: so many threads compute one operation of TensorFlow.
      gpus: 0 hides all GPUs from the run; any other number leaves it those that it sees.
      cwd: the directory to start in; None: this process's own.
      parent_gone: the signal that the run gets once the thread that called this is gone.
      began: called with the process.
    """
    folder = Path(folder)
    if (folder / "result.json").exists():
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"TF_NUM_INTRAOP_THREADS": str(cpus)}
    if gpus == 0:
        environment["CUDA_VISIBLE_DEVICES"] = "-1"
    binding = [sys.executable, bound.__file__, str(int(parent_gone)), str(os.getpid())]
    with log_of(folder).open("a") as log:
        process = subprocess.Popen(
            [*binding, sys.executable, *command[1:]],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            env=environment,
            cwd=cwd,
        )
    try:
        if began is not None:
            began(process)
        return process.wait()
    except BaseException:  # such as KeyboardInterrupt, by which Ray cancels what it runs
        process.terminate()
        process.wait()
        raise
