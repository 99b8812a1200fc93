"""Runs forked from a process that has TensorFlow imported: each starts three seconds sooner.

The process takes one JSON line for each run, [[module, flag, ...], log file], makes the run in a
fork of itself, and answers with its exit status. Nothing of TensorFlow has begun when it forks. For
machines without an NVIDIA GPU, as CUDA does not survive a fork.
"""

import atexit
import contextlib
import ctypes
import glob
import json
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from repro.tools.executors import bound, process

POSSIBLE = sys.platform == "linux" and not glob.glob("/dev/nvidia*")


class Maker:
    """Makes one run after the other on the processors of the thread that starts it."""

    def __init__(self, cpus: int):
        """Start the process; so many threads compute one operation of TensorFlow."""
        binding = [sys.executable, bound.__file__, str(int(signal.SIGTERM)), str(os.getpid())]
        self.process = subprocess.Popen(
            [*binding, sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"TF_NUM_INTRAOP_THREADS": str(cpus)},
            text=True,
        )

    def make(self, command: Sequence[str], folder: Path) -> int:
        """Make a run and return its exit status, negative for a signal.

        Args:
          command: [python, "-m", module, flag, ...].
          folder: the run's directory; what the run says goes to log.txt there.

        Raises:
          OSError: the process has ended, and with it the run; a new one can go on.
          RuntimeError: its log is a symbolic link.
        """
        folder.mkdir(parents=True, exist_ok=True)
        log = process.log_of(folder)
        print(json.dumps([command[2:], str(log)]), file=self.process.stdin)
        self.process.stdin.flush()
        status = self.process.stdout.readline()
        if not status:
            self.process.wait()
            raise BrokenPipeError("the process that runs are forked from was ended")
        return int(status)

    def close(self) -> None:
        """End the process, which has no run to make, if it was not killed before."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def serve() -> None:
    """Make the runs that stdin asks for; on SIGTERM let the one at work save its state, and end."""
    working = None

    def end(number, frame):
        if working is not None:
            os.kill(working, signal.SIGTERM)
            os.waitpid(working, 0)
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, end)
    import tensorflow as tf  # noqa: F401

    for line in sys.stdin:
        arguments, log = json.loads(line)
        working = os.fork()
        if not working:
            become(arguments, log)
        _, status = os.waitpid(working, 0)
        working = None
        print(os.waitstatus_to_exitcode(status), flush=True)


def become(arguments: Sequence[str], log: str) -> None:
    """Be the process of a run until it ends; it ends in order when its parent is gone."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(bound.PR_SET_PDEATHSIG, int(signal.SIGTERM))
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(file, 1)
    os.dup2(file, 2)
    sys.argv = list(arguments)
    status = 1
    try:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:  # as of any process: said, and ended with 1
        sys.excepthook(*sys.exc_info())
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
