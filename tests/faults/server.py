"""Commands of the suite, each in a fork of one process that has TensorFlow imported and not begun.

Started with faults.c preloaded; most of a command's time is that import. Reads one JSON object a
line, {"command", "arguments", "below", "faults"}, makes it, and answers with {"status", "said",
"changes", "seconds"}: the exit status, negative for a signal; what was said on stdout and stderr;
how many changes of files below a folder there were. `at_once` asks for several at the same time.
"""

import ctypes
import errno
import gc
import importlib
import json
import os
import signal
import sys
import time
import traceback
import types

import walk

from repro import devices, launch, papers
from repro.tools import tune
from repro.tools.executors import process, warm
from repro.training import provenance

LIBRARY = ctypes.CDLL(None)  # finds what is preloaded
HANGS = 1200  # seconds, after which a command is ended by SIGALRM


def main() -> None:
    devices.import_tensorflow()
    for paper in papers.PAPERS:
        papers.module(paper, "experiment")
    provenance.code()  # remembered, which saves each fork a second
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        started = [start(one) for one in asked]
        print(json.dumps([end(*one) for one in started]), flush=True)


def start(asked: dict) -> tuple:
    """Start a command in a fork; return its process, and the ends of its pipes."""
    said, changes = os.pipe(), os.pipe()
    began = time.monotonic()
    child = os.fork()
    if not child:
        signal.alarm(HANGS)
        os.dup2(said[1], 1)
        os.dup2(said[1], 2)
        status = make(asked)
        os.write(changes[1], str(LIBRARY.changes()).encode())
        os._exit(status)
    os.close(said[1])
    os.close(changes[1])
    return child, said[0], changes[0], began


def end(child: int, said: int, changes: int, began: float) -> dict:
    """Wait for a command and return what became of it."""
    with os.fdopen(said, errors="replace") as file:
        text = file.read()
    with os.fdopen(changes) as file:
        count = file.read()
    _, status = os.waitpid(child, 0)
    return {
        "status": os.waitstatus_to_exitcode(status),
        "said": text,
        "changes": int(count or 0),
        "seconds": time.monotonic() - began,
    }


def make(asked: dict) -> int:
    """Do a command in this process and return its exit status, as Python would end with it."""
    LIBRARY.count_below(os.path.realpath(asked["below"]).encode())
    for name, *values in asked["faults"]:
        values = [getattr(errno, value) if isinstance(value, str) else value for value in values]
        getattr(LIBRARY, name)(*map(ctypes.c_long, values))
    warm.POSSIBLE, process.run = False, run_here
    tune.subprocess = types.SimpleNamespace(run=trial_here)
    status = ended(lambda: command(asked["command"], asked["arguments"]))
    gc.collect()  # a file that cannot be closed says so now
    return status


def command(name: str, arguments: list[str]) -> None:
    sys.argv = [name, *arguments]
    if name == "walk":
        walk.main()
    elif name in papers.PAPERS:
        launch.launch(papers.stages(name))
    else:
        importlib.import_module(f"repro.{name}").main()


def ended(call) -> int:
    """Call and return the exit status that the process would end with, said what it would say."""
    try:
        call()
        status = 0
    except SystemExit as wanted:
        status = wanted.code
        if not (status is None or isinstance(status, int)):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    try:
        sys.stdout.flush()
    except (OSError, AttributeError):
        status = 120
    return status or 0


# --- what tools start as processes of their own: forks, which inherit faults and counts -----------


def run_here(arguments, folder, cpus, **options) -> int:
    """Stand for executors.process.run."""
    if os.path.exists(os.path.join(folder, "result.json")):
        return 0
    return forked(arguments)


def trial_here(arguments, **options):
    """Stand for subprocess.run in tools/tune."""

    class Done:
        returncode = forked(arguments, options.get("stdout"))

    return Done


def forked(arguments, log=None) -> int:
    child = os.fork()
    if not child:
        if log is not None:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        paper = arguments[2].removeprefix("repro.")
        os._exit(ended(lambda: command(paper, list(arguments[3:]))))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main()
